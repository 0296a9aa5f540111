module completions {

  # Log in once; every agent, script and MCP session gets a working credential without keeping one
  export extern authctl [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help
    --version(-V)             # Print version
  ]

  # Sign in to a provider
  export extern "authctl login" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --name: string            # What the server at the address is called here, instead of a name from its host
    --with-key                # Paste or pipe an API key instead of signing in with OAuth
    --with-token              # The same for a token, where the provider takes both keys and tokens
    --key-file: path          # File with the key, token or password, or - for standard input
    --user: string            # Sign in with this user name and a password (basic authentication)
    --device                  # Sign in by a code that is typed on another device
    --browser                 # Sign in with the browser on this machine
    --client-credentials      # Sign in as the client itself, with its id and its secret or key
    --scope: string           # Scopes to ask for, instead of the provider's
    --client-id: string       # Your OAuth client at this provider; remembered for later logins
    --client-secret-file: path # File with the client's secret, or - for standard input; remembered with the id
    --client-key-file: path   # File with the client's private key (PEM, JWK, or a service account's JSON), or - for standard input; remembered with the id
    --key-id: string          # Id of that key, where the server knows several
    --client-metadata-url: string # Address of the published document about your client, for servers that take such a client (authctl generate client-metadata prints one)
    --dpop                    # Ask for tokens that are bound to a key (DPoP), and take no others
    --new-client              # Register a new client at the server instead of using the one registered earlier
    --no-browser              # Print the URL and do not open a browser
    --resume                  # Finish a sign-in that waits: paste or pipe the address where the browser ended, or the code
    --help(-h)                # Print help (see more with '--help')
    name: string              # Provider, or provider:account; or the address of an MCP server
  ]

  # Sign out: forget, and revoke at the server
  export extern "authctl logout" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --all                     # Every credential in the store
    --help(-h)                # Print help (see more with '--help')
    name?: string             # Provider, or provider:account
  ]

  # Show what is held, until when, and what mends a bad one
  export extern "authctl status" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --check                   # Open every credential, refresh what must be, and try it where the provider has a cheap call
    --help(-h)                # Print help (see more with '--help')
    name?: string             # Only this provider, or provider:account
  ]

  # Print one fresh token
  export extern "authctl token" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --min-ttl: string         # Least time the token must still live, as in 90s, 10m, 1h
    --header                  # Print the whole header line that the API expects
    --refresh                 # Ask the authorization server for a new token in any case
    --help(-h)                # Print help (see more with '--help')
    name: string              # Provider, or provider:account
  ]

  # Run a command with credentials in its environment
  export extern "authctl exec" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --with: string            # Credentials to hand over, joined by commas: NAME, or NAME=VARIABLE to choose the variable
    --ask                     # Ask what to hand over, even if an earlier answer is remembered for this program here
    --env-header: string      # Hand over a whole header value, as in `Bearer …`, in VARIABLE
    --min-ttl: string         # Least time that tokens must still live
    --mask                    # Write `[masked]` instead of the secrets in output that goes to a pipe or a file
    --clean                   # Remove the variables of every known provider, not only of those handed over
    --proxy                   # Keep the secrets out of the command: its variables hold placeholders, which a proxy beside it replaces
    --strict                  # With --proxy, let the command reach no host but those of the credentials
    --allow: string           # Send only these requests, as in 'GET /v1/*' or '* api.example.com/v1/*'; * stands for any text
    --deny: string            # Never send these requests
    --header: string          # Header of each request, as in 'X-Team: blue'; ${NAME} stands for a variable of the environment
    --secret-header: string   # Header whose value is another stored credential, as in X-Api-Key=NAME
    --id-header: string       # Header that tells the server the id of the credential, which is stable and not secret
    --help(-h)                # Print help (see more with '--help')
  ]

  # Approve what a directory's authctl.toml asks for
  export extern "authctl trust" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --show                    # Show what it asks for and whether it is approved; change nothing
    --hash: string            # Approve without a question, if it still has this hash (authctl trust --show prints it)
    --revoke                  # Take the approval back
    --list                    # List everything that was approved
    --help(-h)                # Print help (see more with '--help')
    path?: path               # A directory or its authctl.toml, instead of the nearest one from here upward
  ]

  # Show what was handed out, to whom and when
  export extern "authctl log" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --since: string           # Only what is younger than this, as in 90m, 12h, 7d, 2026-11-21 or 2026-11-21T09:00:00Z
    --program: string         # Only this program: its path, or the name of its file
    --lines(-n): string       # How many of the newest lines; 0 for all of them
    --follow(-f)              # Go on with what happens from now on, until Ctrl-C
    --help(-h)                # Print help (see more with '--help')
    name?: string             # Only this provider, or provider:account
  ]

  # Reach an MCP server: sign in, and bridge to it
  export extern "authctl mcp" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --name: string            # The credential to use, where it is not the server's own: an account, or another name
    --header: string          # Header of each request, as in 'X-Team: blue'; ${NAME} stands for a variable of the environment
    --secret-header: string   # Header whose value is another stored credential, as in X-Api-Key=NAME
    --allow-tool: string      # Show and allow only these tools; * stands for any text
    --deny-tool: string       # Hide and refuse these tools
    --no-browser              # Never open a browser: the client shows the link, or gets a tool that gives it
    --list-wait: string       # How long lists wait for a sign-in before a tool stands in their place
    --call-wait: string       # How long other calls wait for it before they are answered
    --answer-wait: string     # How long the server may leave a request without a word [default: 10m]
    --client-id: string       # Your OAuth client at the authorization server; remembered
    --client-secret-file: path # File with the client's secret; AUTHCTL_CLIENT_SECRET can hold it as well
    --client-key-file: path   # File with the client's private key (PEM, JWK, or a service account's JSON)
    --key-id: string          # Id of that key, where the server knows several
    --client-metadata-url: string # Where the client's metadata document is hosted
    --client-credentials      # Sign in as the client itself
    --scope: string           # Scopes to ask for, instead of those that the server names
    --dpop                    # Ask for tokens that are bound to a key (DPoP), and take no others
    --with: string            # Credentials for the command, joined by commas: NAME, or NAME=VARIABLE to choose the variable
    --listen: string          # Serve the command to HTTP clients of this computer, on this port or any free one
    --secret-file: path       # File with the secret that clients send as `Authorization: Bearer …`, instead of a random one
    --no-secret               # Serve every program of this computer, without a secret
    --idle: string            # Time without a request after which a session and its command end
    --help(-h)                # Print help (see more with '--help')
    server?: string           # Address of the MCP server, or the name that it has here
  ]

  # Let MCP clients reach a server through authctl
  export extern "authctl mcp install" [
    --all                     # All clients that are on this machine
    --project                 # The client's file for this project, instead of the one for you; authctl is called by its name there
    --file: path              # A file of a client that authctl does not know
    --name: string            # Name of the server in the clients' files
    --with: string            # Credential for a command, as NAME or NAME=VARIABLE
    --header: string          # A header that is no secret, for an address
    --replace                 # Replace a server of that name which does not go through authctl
    --dry-run                 # Show what would change, and write nothing
    --yes(-y)                 # Write without asking
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help (see more with '--help')
    ...words: string          # Clients (claude-code, claude-desktop, cursor, vscode, zed, codex, gemini, windsurf, cline), and the address of the server, or the name that it has here; without a client, a person is asked
  ]

  def "nu-complete authctl mcp list clients" [] {
    [ "claude-code" "claude-desktop" "cursor" "vscode" "zed" "codex" "gemini" "windsurf" "cline" ]
  }

  # List the servers of MCP clients, and which of them go through authctl
  export extern "authctl mcp list" [
    --file: path              # A file of a client that authctl does not know
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help (see more with '--help')
    ...clients: string@"nu-complete authctl mcp list clients" # Clients; without any, all
  ]

  # Take a server out of MCP clients' files
  export extern "authctl mcp remove" [
    --all                     # All clients that are on this machine
    --project                 # The client's file for this project, instead of the one for you; authctl is called by its name there
    --file: path              # A file of a client that authctl does not know
    --force                   # Also a server that does not go through authctl
    --dry-run                 # Show what would change, and write nothing
    --yes(-y)                 # Write without asking
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help (see more with '--help')
    ...words: string          # Clients (claude-code, cursor, …), and the name of the server as in `mcp list`
  ]

  def "nu-complete authctl mcp import clients" [] {
    [ "claude-code" "claude-desktop" "cursor" "vscode" "zed" "codex" "gemini" "windsurf" "cline" ]
  }

  # Take over the keys that stand in MCP clients' files
  export extern "authctl mcp import" [
    --apply                   # Store what was found
    --rewrite                 # Store it, and put references to authctl in its place in the files
    --dry-run                 # Show how --rewrite would change the files, and change nothing
    --as: string              # The name for one secret, by its digest
    --skip: string            # Leave one secret alone, by its digest
    --replace                 # Replace another secret that is stored under the same name
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help (see more with '--help')
    ...clients: string@"nu-complete authctl mcp import clients" # Clients; without any, all
  ]

  # Lend credentials to programs that never hold them
  export extern "authctl proxy" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --with: string            # Credentials that requests get, joined by commas
    --port: string            # Listen on this port instead of any free one
    --strict                  # As a forward proxy, reach no host but those of the credentials
    --secret-in-path          # Also take the key in the path, /~KEY/NAME/…, for clients that can send none
    --allow: string           # Send only these requests, as in 'GET /v1/*' or '* api.example.com/v1/*'; * stands for any text
    --deny: string            # Never send these requests
    --header: string          # Header of each request, as in 'X-Team: blue'; ${NAME} stands for a variable of the environment
    --secret-header: string   # Header whose value is another stored credential, as in X-Api-Key=NAME
    --id-header: string       # Header that tells the server the id of the credential, which is stable and not secret
    --help(-h)                # Print help (see more with '--help')
  ]

  def "nu-complete authctl acp print_config" [] {
    [ "zed" "jetbrains" "neovim" ]
  }

  # Sign a coding agent in to its editor, over the Agent Client Protocol
  export extern "authctl acp" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --with: string            # Credentials for the agent, joined by commas: NAME, or NAME=VARIABLE to choose the variable
    --keep-env: string        # Leave this variable in the agent's environment, though it is one for a credential
    --way: string             # Hand them over in this way alone: providers-set, gateway, base-url, helper, in-band, variable, profile or own
    --print-config: string@"nu-complete authctl acp print_config" # Print what an editor's configuration needs, and start nothing
    --chain                   # Be a part of a chain of proxies, whose conductor runs the agent: in-band ways alone
    --help(-h)                # Print help (see more with '--help')
  ]

  def "nu-complete authctl acp doctor remember" [] {
    [ "project" "everywhere" ]
  }

  # Try an agent: what it offers, what it would get and by which way, and what is missing
  export extern "authctl acp doctor" [
    --with: string            # Credentials for the agent, joined by commas: NAME, or NAME=VARIABLE to choose the variable
    --keep-env: string        # Leave this variable in the agent's environment, though it is one for a credential
    --way: string             # Hand them over in this way alone: providers-set, gateway, base-url, helper, in-band, variable, profile or own
    --remember: string@"nu-complete authctl acp doctor remember" # Bind the credentials to this agent for good: in this project, or everywhere
    --session                 # Open a session as well
    --wait: string            # How long the agent may take for each answer
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help (see more with '--help')
  ]

  # Print the credential of a session, for an agent that it started
  export extern "authctl acp helper" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help
    socket: path              # Where that session listens
  ]

  # Say which credentials coding agents may print
  export extern "authctl permission" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help
  ]

  # List what coding agents may print, which uses are confirmed, and what editors' agents may have
  export extern "authctl permission list" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help
    name?: string             # Only this provider, or provider:account
  ]

  # Let coding agents print a credential
  export extern "authctl permission allow" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help (see more with '--help')
    name: string              # Provider, or provider:account
  ]

  # Take a permission back: to print a credential, or what an editor's agent may have
  export extern "authctl permission withdraw" [
    --agent: string           # An agent of authctl acp, as permission list names it, which is to have nothing any more
    --project: directory      # Only in this project
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help
    name?: string             # Provider, or provider:account
  ]

  # List, show, check, add and remove providers
  export extern "authctl provider" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help
  ]

  # List the providers: the built-in ones and those of config.toml
  export extern "authctl provider list" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help
  ]

  # Show one provider: ways to sign in, headers, variables, endpoints
  export extern "authctl provider show" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help
    provider: string          # Name of the provider, as in `provider list`
  ]

  # Check one provider step by step: from its description to a call with the stored credential
  export extern "authctl provider check" [
    --refresh                 # Refresh the credential to prove that it can be
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help (see more with '--help')
    provider: string          # Provider, or provider:account
  ]

  # Add a provider to config.toml: from an address by discovery, or from flags
  export extern "authctl provider add" [
    --name: string            # Name of the provider found at an address
    --title: string           # Its name for people
    --base-url: string        # Where its API is
    --base-url-variable: string # A variable from which its programs take the base URL
    --mcp-url: string         # Where its remote MCP server is
    --host: string            # A further host to which its credentials may be sent
    --api-key                 # It takes API keys
    --bearer                  # It takes bearer tokens that a person pastes
    --basic                   # It takes a name and a password
    --header: string          # The header of its credentials, as in 'x-api-key: {key}'
    --variable: string        # An environment variable that its programs read; the first one is set by exec
    --verify: string          # An address that can be read with a good credential alone
    --create-at: string       # The page where a person makes a key
    --issuer: string          # Issuer of its authorization server, exactly as the server's metadata has it
    --authorization-endpoint: string # Authorization endpoint, for a server without metadata
    --token-endpoint: string  # Token endpoint, for a server without metadata
    --device-authorization-endpoint: string # Device authorization endpoint, for a server without metadata
    --grant: string           # A way to sign in; the first one is used by default
    --scope: string           # Scopes to ask for, instead of those that the server names
    --resource: string        # Resource indicator that all requests carry
    --client-id: string       # Your OAuth client there
    --authentication: string  # How your client's secret is sent: client_secret_basic, client_secret_post, none
    --register-at: string     # The page where a person registers a client
    --pkce: string            # S256 or unverified, for a server that does not say whether it checks PKCE
    --replace                 # Replace a provider of this name, also a built-in one
    --dry-run                 # Print what would be written, and write nothing
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help (see more with '--help')
    target: string            # Address of an issuer, an API or an MCP server; or the name of what the flags describe
  ]

  # Remove a provider from config.toml, or one that was found at its address
  export extern "authctl provider remove" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help
    provider: string          # Name of the provider
  ]

  def "nu-complete authctl import format" [] {
    [ "dotenv" "mcp" "codex" "gh" "adcp" ]
  }

  # Take over credentials that other tools keep in the open
  export extern "authctl import" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --format: string@"nu-complete authctl import format" # What the files are, where their names do not tell
    --apply                   # Store what was found
    --rewrite                 # Store it, and put references to authctl in its place in the files
    --dry-run                 # Show how --rewrite would change the files, and change nothing
    --as: string              # The name for one secret, by its digest
    --skip: string            # Leave one secret alone, by its digest
    --replace                 # Replace another secret that is stored under the same name
    --help(-h)                # Print help (see more with '--help')
    ...files: path            # Files, or mcp-remote's folder; without any, the places where tools keep credentials
  ]

  # Generate completions, man pages and JSON Schema
  export extern "authctl generate" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help
  ]

  def "nu-complete authctl generate completions shell" [] {
    [ "bash" "zsh" "fish" "powershell" "elvish" "nushell" ]
  }

  # Write the completions of every shell into DIRECTORY, or one shell's to stdout
  export extern "authctl generate completions" [
    --shell: string@"nu-complete authctl generate completions shell" # Print the completions of this shell instead of writing files
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help (see more with '--help')
    directory?: path          # Where the files go
  ]

  # Write the man pages into DIRECTORY
  export extern "authctl generate man" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help
    directory: path           # Where the pages go
  ]

  # Print the JSON Schema of what --json prints
  export extern "authctl generate schema" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help
  ]

  # Print the document about authctl as a client, for hosting it at an address of yours
  export extern "authctl generate client-metadata" [
    --url: string             # Where the document will stand; else the one that config.toml names
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help (see more with '--help')
  ]

}

export use completions *
