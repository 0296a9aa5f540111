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
    --with-key                # Paste or pipe an API key instead of signing in with OAuth
    --with-token              # The same for a token, where the provider takes both keys and tokens
    --key-file: path          # File with the key, token or password, or - for standard input
    --user: string            # Sign in with this user name and a password (basic authentication)
    --device                  # Sign in by a code that is typed on another device
    --browser                 # Sign in with the browser on this machine
    --client-credentials      # Sign in as the client itself, with its id and secret
    --scope: string           # Scopes to ask for, instead of the provider's
    --client-id: string       # Your OAuth client at this provider; remembered for later logins
    --client-secret-file: path # File with the client's secret, or - for standard input; remembered with the id
    --new-client              # Register a new client at the server instead of using the one registered earlier
    --no-browser              # Print the URL and do not open a browser
    --help(-h)                # Print help (see more with '--help')
    name: string              # Provider, or provider:account
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
    --allow-agents            # From now on print this credential also when a coding agent asks (a person must say so)
    --deny-agents             # Take that permission back
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
    --help(-h)                # Print help (see more with '--help')
  ]

  # List, show and check providers
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

  # Check one provider step by step: metadata, endpoints, and the stored credential
  export extern "authctl provider check" [
    --json                    # Print data and errors as JSON
    --quiet(-q)               # Say nothing but warnings and errors
    --no-input                # Never ask, also at a terminal
    --account: string         # Account for names that give none
    --help(-h)                # Print help
    provider: string          # Provider, or provider:account
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

}

export use completions *
