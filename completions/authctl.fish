# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_authctl_global_optspecs
    string join \n json q/quiet no-input account= h/help V/version
end

function __fish_authctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_authctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_authctl_using_subcommand
    set -l cmd (__fish_authctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c authctl -n "__fish_authctl_needs_command" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_needs_command" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_needs_command" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_needs_command" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_needs_command" -s h -l help -d 'Print help'
complete -c authctl -n "__fish_authctl_needs_command" -s V -l version -d 'Print version'
complete -c authctl -n "__fish_authctl_needs_command" -f -a "login" -d 'Sign in to a provider'
complete -c authctl -n "__fish_authctl_needs_command" -f -a "logout" -d 'Sign out: forget, and revoke at the server'
complete -c authctl -n "__fish_authctl_needs_command" -f -a "status" -d 'Show what is held, until when, and what mends a bad one'
complete -c authctl -n "__fish_authctl_needs_command" -f -a "token" -d 'Print one fresh token'
complete -c authctl -n "__fish_authctl_needs_command" -f -a "exec" -d 'Run a command with credentials in its environment'
complete -c authctl -n "__fish_authctl_needs_command" -f -a "trust" -d 'Approve what a directory\'s authctl.toml asks for'
complete -c authctl -n "__fish_authctl_needs_command" -f -a "log" -d 'Show what was handed out, to whom and when'
complete -c authctl -n "__fish_authctl_needs_command" -f -a "mcp" -d 'Reach an MCP server: sign in, and bridge to it'
complete -c authctl -n "__fish_authctl_needs_command" -f -a "proxy" -d 'Lend credentials to programs that never hold them'
complete -c authctl -n "__fish_authctl_needs_command" -f -a "acp" -d 'Sign a coding agent in to its editor, over the Agent Client Protocol'
complete -c authctl -n "__fish_authctl_needs_command" -f -a "permission" -d 'Say which credentials coding agents may print'
complete -c authctl -n "__fish_authctl_needs_command" -f -a "provider" -d 'List, show, check, add and remove providers'
complete -c authctl -n "__fish_authctl_needs_command" -f -a "import" -d 'Take over credentials that other tools keep in the open'
complete -c authctl -n "__fish_authctl_needs_command" -f -a "generate" -d 'Generate completions, man pages and JSON Schema'
complete -c authctl -n "__fish_authctl_using_subcommand login" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand login" -l name -d 'What the server at the address is called here, instead of a name from its host' -r
complete -c authctl -n "__fish_authctl_using_subcommand login" -l key-file -d 'File with the key, token or password, or - for standard input' -r -F
complete -c authctl -n "__fish_authctl_using_subcommand login" -l user -d 'Sign in with this user name and a password (basic authentication)' -r
complete -c authctl -n "__fish_authctl_using_subcommand login" -l scope -d 'Scopes to ask for, instead of the provider\'s' -r
complete -c authctl -n "__fish_authctl_using_subcommand login" -l client-id -d 'Your OAuth client at this provider; remembered for later logins' -r
complete -c authctl -n "__fish_authctl_using_subcommand login" -l client-secret-file -d 'File with the client\'s secret, or - for standard input; remembered with the id' -r -F
complete -c authctl -n "__fish_authctl_using_subcommand login" -l client-key-file -d 'File with the client\'s private key (PEM, JWK, or a service account\'s JSON), or - for standard input; remembered with the id' -r -F
complete -c authctl -n "__fish_authctl_using_subcommand login" -l key-id -d 'Id of that key, where the server knows several' -r
complete -c authctl -n "__fish_authctl_using_subcommand login" -l client-metadata-url -d 'Address of the published document about your client, for servers that take such a client (authctl generate client-metadata prints one)' -r
complete -c authctl -n "__fish_authctl_using_subcommand login" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand login" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand login" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand login" -l with-key -d 'Paste or pipe an API key instead of signing in with OAuth'
complete -c authctl -n "__fish_authctl_using_subcommand login" -l with-token -d 'The same for a token, where the provider takes both keys and tokens'
complete -c authctl -n "__fish_authctl_using_subcommand login" -l device -d 'Sign in by a code that is typed on another device'
complete -c authctl -n "__fish_authctl_using_subcommand login" -l browser -d 'Sign in with the browser on this machine'
complete -c authctl -n "__fish_authctl_using_subcommand login" -l client-credentials -d 'Sign in as the client itself, with its id and its secret or key'
complete -c authctl -n "__fish_authctl_using_subcommand login" -l dpop -d 'Ask for tokens that are bound to a key (DPoP), and take no others'
complete -c authctl -n "__fish_authctl_using_subcommand login" -l new-client -d 'Register a new client at the server instead of using the one registered earlier'
complete -c authctl -n "__fish_authctl_using_subcommand login" -l no-browser -d 'Print the URL and do not open a browser'
complete -c authctl -n "__fish_authctl_using_subcommand login" -l resume -d 'Finish a sign-in that waits: paste or pipe the address where the browser ended, or the code'
complete -c authctl -n "__fish_authctl_using_subcommand login" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand logout" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand logout" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand logout" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand logout" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand logout" -l all -d 'Every credential in the store'
complete -c authctl -n "__fish_authctl_using_subcommand logout" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand status" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand status" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand status" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand status" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand status" -l check -d 'Open every credential, refresh what must be, and try it where the provider has a cheap call'
complete -c authctl -n "__fish_authctl_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand token" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand token" -l min-ttl -d 'Least time the token must still live, as in 90s, 10m, 1h' -r
complete -c authctl -n "__fish_authctl_using_subcommand token" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand token" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand token" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand token" -l header -d 'Print the whole header line that the API expects'
complete -c authctl -n "__fish_authctl_using_subcommand token" -l refresh -d 'Ask the authorization server for a new token in any case'
complete -c authctl -n "__fish_authctl_using_subcommand token" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand exec" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand exec" -l with -d 'Credentials to hand over, joined by commas: NAME, or NAME=VARIABLE to choose the variable' -r
complete -c authctl -n "__fish_authctl_using_subcommand exec" -l env-header -d 'Hand over a whole header value, as in `Bearer …`, in VARIABLE' -r
complete -c authctl -n "__fish_authctl_using_subcommand exec" -l min-ttl -d 'Least time that tokens must still live' -r
complete -c authctl -n "__fish_authctl_using_subcommand exec" -l allow -d 'Send only these requests, as in \'GET /v1/*\' or \'* api.example.com/v1/*\'; * stands for any text' -r
complete -c authctl -n "__fish_authctl_using_subcommand exec" -l deny -d 'Never send these requests' -r
complete -c authctl -n "__fish_authctl_using_subcommand exec" -l header -d 'Header of each request, as in \'X-Team: blue\'; ${NAME} stands for a variable of the environment' -r
complete -c authctl -n "__fish_authctl_using_subcommand exec" -l secret-header -d 'Header whose value is another stored credential, as in X-Api-Key=NAME' -r
complete -c authctl -n "__fish_authctl_using_subcommand exec" -l id-header -d 'Header that tells the server the id of the credential, which is stable and not secret' -r
complete -c authctl -n "__fish_authctl_using_subcommand exec" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand exec" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand exec" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand exec" -l ask -d 'Ask what to hand over, even if an earlier answer is remembered for this program here'
complete -c authctl -n "__fish_authctl_using_subcommand exec" -l mask -d 'Write `[masked]` instead of the secrets in output that goes to a pipe or a file'
complete -c authctl -n "__fish_authctl_using_subcommand exec" -l clean -d 'Remove the variables of every known provider, not only of those handed over'
complete -c authctl -n "__fish_authctl_using_subcommand exec" -l proxy -d 'Keep the secrets out of the command: its variables hold placeholders, which a proxy beside it replaces'
complete -c authctl -n "__fish_authctl_using_subcommand exec" -l strict -d 'With --proxy, let the command reach no host but those of the credentials'
complete -c authctl -n "__fish_authctl_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand trust" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand trust" -l hash -d 'Approve without a question, if it still has this hash (authctl trust --show prints it)' -r
complete -c authctl -n "__fish_authctl_using_subcommand trust" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand trust" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand trust" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand trust" -l show -d 'Show what it asks for and whether it is approved; change nothing'
complete -c authctl -n "__fish_authctl_using_subcommand trust" -l revoke -d 'Take the approval back'
complete -c authctl -n "__fish_authctl_using_subcommand trust" -l list -d 'List everything that was approved'
complete -c authctl -n "__fish_authctl_using_subcommand trust" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand log" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand log" -l since -d 'Only what is younger than this, as in 90m, 12h, 7d, 2026-11-21 or 2026-11-21T09:00:00Z' -r
complete -c authctl -n "__fish_authctl_using_subcommand log" -l program -d 'Only this program: its path, or the name of its file' -r
complete -c authctl -n "__fish_authctl_using_subcommand log" -s n -l lines -d 'How many of the newest lines; 0 for all of them' -r
complete -c authctl -n "__fish_authctl_using_subcommand log" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand log" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand log" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand log" -s f -l follow -d 'Go on with what happens from now on, until Ctrl-C'
complete -c authctl -n "__fish_authctl_using_subcommand log" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l name -d 'The credential to use, where it is not the server\'s own: an account, or another name' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l header -d 'Header of each request, as in \'X-Team: blue\'; ${NAME} stands for a variable of the environment' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l secret-header -d 'Header whose value is another stored credential, as in X-Api-Key=NAME' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l allow-tool -d 'Show and allow only these tools; * stands for any text' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l deny-tool -d 'Hide and refuse these tools' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l list-wait -d 'How long lists wait for a sign-in before a tool stands in their place' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l call-wait -d 'How long other calls wait for it before they are answered' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l answer-wait -d 'How long the server may leave a request without a word [default: 10m]' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l client-id -d 'Your OAuth client at the authorization server; remembered' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l client-secret-file -d 'File with the client\'s secret; AUTHCTL_CLIENT_SECRET can hold it as well' -r -F
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l client-key-file -d 'File with the client\'s private key (PEM, JWK, or a service account\'s JSON)' -r -F
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l key-id -d 'Id of that key, where the server knows several' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l client-metadata-url -d 'Where the client\'s metadata document is hosted' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l scope -d 'Scopes to ask for, instead of those that the server names' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l with -d 'Credentials for the command, joined by commas: NAME, or NAME=VARIABLE to choose the variable' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l listen -d 'Serve the command to HTTP clients of this computer, on this port or any free one' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l secret-file -d 'File with the secret that clients send as `Authorization: Bearer …`, instead of a random one' -r -F
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l idle -d 'Time without a request after which a session and its command end' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l no-browser -d 'Never open a browser: the client shows the link, or gets a tool that gives it'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l client-credentials -d 'Sign in as the client itself'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l dpop -d 'Ask for tokens that are bound to a key (DPoP), and take no others'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -l no-secret -d 'Serve every program of this computer, without a secret'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -a "install" -d 'Let MCP clients reach a server through authctl'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -a "list" -d 'List the servers of MCP clients, and which of them go through authctl'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -a "remove" -d 'Take a server out of MCP clients\' files'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and not __fish_seen_subcommand_from install list remove import" -a "import" -d 'Take over the keys that stand in MCP clients\' files'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from install" -l file -d 'A file of a client that authctl does not know' -r -F
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from install" -l name -d 'Name of the server in the clients\' files' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from install" -l with -d 'Credential for a command, as NAME or NAME=VARIABLE' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from install" -l header -d 'A header that is no secret, for an address' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from install" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from install" -l all -d 'All clients that are on this machine'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from install" -l project -d 'The client\'s file for this project, instead of the one for you; authctl is called by its name there'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from install" -l replace -d 'Replace a server of that name which does not go through authctl'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from install" -l dry-run -d 'Show what would change, and write nothing'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from install" -s y -l yes -d 'Write without asking'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from install" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from install" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from install" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from install" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l file -d 'A file of a client that authctl does not know' -r -F
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from remove" -l file -d 'A file of a client that authctl does not know' -r -F
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from remove" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from remove" -l all -d 'All clients that are on this machine'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from remove" -l project -d 'The client\'s file for this project, instead of the one for you; authctl is called by its name there'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from remove" -l force -d 'Also a server that does not go through authctl'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from remove" -l dry-run -d 'Show what would change, and write nothing'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from remove" -s y -l yes -d 'Write without asking'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from remove" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from remove" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from remove" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from import" -l as -d 'The name for one secret, by its digest' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from import" -l skip -d 'Leave one secret alone, by its digest' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from import" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from import" -l apply -d 'Store what was found'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from import" -l rewrite -d 'Store it, and put references to authctl in its place in the files'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from import" -l dry-run -d 'Show how --rewrite would change the files, and change nothing'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from import" -l replace -d 'Replace another secret that is stored under the same name'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from import" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from import" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from import" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand mcp; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand proxy" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand proxy" -l with -d 'Credentials that requests get, joined by commas' -r
complete -c authctl -n "__fish_authctl_using_subcommand proxy" -l port -d 'Listen on this port instead of any free one' -r
complete -c authctl -n "__fish_authctl_using_subcommand proxy" -l allow -d 'Send only these requests, as in \'GET /v1/*\' or \'* api.example.com/v1/*\'; * stands for any text' -r
complete -c authctl -n "__fish_authctl_using_subcommand proxy" -l deny -d 'Never send these requests' -r
complete -c authctl -n "__fish_authctl_using_subcommand proxy" -l header -d 'Header of each request, as in \'X-Team: blue\'; ${NAME} stands for a variable of the environment' -r
complete -c authctl -n "__fish_authctl_using_subcommand proxy" -l secret-header -d 'Header whose value is another stored credential, as in X-Api-Key=NAME' -r
complete -c authctl -n "__fish_authctl_using_subcommand proxy" -l id-header -d 'Header that tells the server the id of the credential, which is stable and not secret' -r
complete -c authctl -n "__fish_authctl_using_subcommand proxy" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand proxy" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand proxy" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand proxy" -l strict -d 'As a forward proxy, reach no host but those of the credentials'
complete -c authctl -n "__fish_authctl_using_subcommand proxy" -l secret-in-path -d 'Also take the key in the path, /~KEY/NAME/…, for clients that can send none'
complete -c authctl -n "__fish_authctl_using_subcommand proxy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand acp; and not __fish_seen_subcommand_from doctor helper" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand acp; and not __fish_seen_subcommand_from doctor helper" -l with -d 'Credentials for the agent, joined by commas: NAME, or NAME=VARIABLE to choose the variable' -r
complete -c authctl -n "__fish_authctl_using_subcommand acp; and not __fish_seen_subcommand_from doctor helper" -l keep-env -d 'Leave this variable in the agent\'s environment, though it is one for a credential' -r
complete -c authctl -n "__fish_authctl_using_subcommand acp; and not __fish_seen_subcommand_from doctor helper" -l way -d 'Hand them over in this way alone: providers-set, gateway, base-url, helper, in-band, variable, profile or own' -r
complete -c authctl -n "__fish_authctl_using_subcommand acp; and not __fish_seen_subcommand_from doctor helper" -l print-config -d 'Print what an editor\'s configuration needs, and start nothing' -r -f -a "zed\t'For agent_servers in settings.json'
jetbrains\t'For ~/.jetbrains/acp.json'
neovim\t'For codecompanion.nvim'"
complete -c authctl -n "__fish_authctl_using_subcommand acp; and not __fish_seen_subcommand_from doctor helper" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand acp; and not __fish_seen_subcommand_from doctor helper" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand acp; and not __fish_seen_subcommand_from doctor helper" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand acp; and not __fish_seen_subcommand_from doctor helper" -l chain -d 'Be a part of a chain of proxies, whose conductor runs the agent: in-band ways alone'
complete -c authctl -n "__fish_authctl_using_subcommand acp; and not __fish_seen_subcommand_from doctor helper" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand acp; and not __fish_seen_subcommand_from doctor helper" -a "doctor" -d 'Try an agent: what it offers, what it would get and by which way, and what is missing'
complete -c authctl -n "__fish_authctl_using_subcommand acp; and not __fish_seen_subcommand_from doctor helper" -a "helper" -d 'Print the credential of a session, for an agent that it started'
complete -c authctl -n "__fish_authctl_using_subcommand acp; and __fish_seen_subcommand_from doctor" -l with -d 'Credentials for the agent, joined by commas: NAME, or NAME=VARIABLE to choose the variable' -r
complete -c authctl -n "__fish_authctl_using_subcommand acp; and __fish_seen_subcommand_from doctor" -l keep-env -d 'Leave this variable in the agent\'s environment, though it is one for a credential' -r
complete -c authctl -n "__fish_authctl_using_subcommand acp; and __fish_seen_subcommand_from doctor" -l way -d 'Hand them over in this way alone: providers-set, gateway, base-url, helper, in-band, variable, profile or own' -r
complete -c authctl -n "__fish_authctl_using_subcommand acp; and __fish_seen_subcommand_from doctor" -l remember -d 'Bind the credentials to this agent for good: in this project, or everywhere' -r -f -a "project\t'In this repository, or in this directory'
everywhere\t'Wherever nothing else is said'"
complete -c authctl -n "__fish_authctl_using_subcommand acp; and __fish_seen_subcommand_from doctor" -l wait -d 'How long the agent may take for each answer' -r
complete -c authctl -n "__fish_authctl_using_subcommand acp; and __fish_seen_subcommand_from doctor" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand acp; and __fish_seen_subcommand_from doctor" -l session -d 'Open a session as well'
complete -c authctl -n "__fish_authctl_using_subcommand acp; and __fish_seen_subcommand_from doctor" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand acp; and __fish_seen_subcommand_from doctor" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand acp; and __fish_seen_subcommand_from doctor" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand acp; and __fish_seen_subcommand_from doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand acp; and __fish_seen_subcommand_from helper" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand acp; and __fish_seen_subcommand_from helper" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand acp; and __fish_seen_subcommand_from helper" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand acp; and __fish_seen_subcommand_from helper" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand acp; and __fish_seen_subcommand_from helper" -s h -l help -d 'Print help'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and not __fish_seen_subcommand_from list allow withdraw" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand permission; and not __fish_seen_subcommand_from list allow withdraw" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and not __fish_seen_subcommand_from list allow withdraw" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and not __fish_seen_subcommand_from list allow withdraw" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and not __fish_seen_subcommand_from list allow withdraw" -s h -l help -d 'Print help'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and not __fish_seen_subcommand_from list allow withdraw" -f -a "list" -d 'List what coding agents may print, which uses are confirmed, and what editors\' agents may have'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and not __fish_seen_subcommand_from list allow withdraw" -f -a "allow" -d 'Let coding agents print a credential'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and not __fish_seen_subcommand_from list allow withdraw" -f -a "withdraw" -d 'Take a permission back: to print a credential, or what an editor\'s agent may have'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from list" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from list" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from allow" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from allow" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from allow" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from allow" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from allow" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from withdraw" -l agent -d 'An agent of authctl acp, as permission list names it, which is to have nothing any more' -r
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from withdraw" -l project -d 'Only in this project' -r -f -a "(__fish_complete_directories)"
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from withdraw" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from withdraw" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from withdraw" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from withdraw" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand permission; and __fish_seen_subcommand_from withdraw" -s h -l help -d 'Print help'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and not __fish_seen_subcommand_from list show check add remove" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and not __fish_seen_subcommand_from list show check add remove" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and not __fish_seen_subcommand_from list show check add remove" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and not __fish_seen_subcommand_from list show check add remove" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and not __fish_seen_subcommand_from list show check add remove" -s h -l help -d 'Print help'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and not __fish_seen_subcommand_from list show check add remove" -f -a "list" -d 'List the providers: the built-in ones and those of config.toml'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and not __fish_seen_subcommand_from list show check add remove" -f -a "show" -d 'Show one provider: ways to sign in, headers, variables, endpoints'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and not __fish_seen_subcommand_from list show check add remove" -f -a "check" -d 'Check one provider step by step: from its description to a call with the stored credential'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and not __fish_seen_subcommand_from list show check add remove" -f -a "add" -d 'Add a provider to config.toml: from an address by discovery, or from flags'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and not __fish_seen_subcommand_from list show check add remove" -f -a "remove" -d 'Remove a provider from config.toml, or one that was found at its address'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from list" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from list" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from show" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from show" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from check" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from check" -l refresh -d 'Refresh the credential to prove that it can be'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from check" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from check" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l name -d 'Name of the provider found at an address' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l title -d 'Its name for people' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l base-url -d 'Where its API is' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l base-url-variable -d 'A variable from which its programs take the base URL' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l mcp-url -d 'Where its remote MCP server is' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l host -d 'A further host to which its credentials may be sent' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l header -d 'The header of its credentials, as in \'x-api-key: {key}\'' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l variable -d 'An environment variable that its programs read; the first one is set by exec' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l verify -d 'An address that can be read with a good credential alone' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l create-at -d 'The page where a person makes a key' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l issuer -d 'Issuer of its authorization server, exactly as the server\'s metadata has it' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l authorization-endpoint -d 'Authorization endpoint, for a server without metadata' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l token-endpoint -d 'Token endpoint, for a server without metadata' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l device-authorization-endpoint -d 'Device authorization endpoint, for a server without metadata' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l grant -d 'A way to sign in; the first one is used by default' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l scope -d 'Scopes to ask for, instead of those that the server names' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l resource -d 'Resource indicator that all requests carry' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l client-id -d 'Your OAuth client there' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l authentication -d 'How your client\'s secret is sent: client_secret_basic, client_secret_post, none' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l register-at -d 'The page where a person registers a client' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l pkce -d 'S256 or unverified, for a server that does not say whether it checks PKCE' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l api-key -d 'It takes API keys'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l bearer -d 'It takes bearer tokens that a person pastes'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l basic -d 'It takes a name and a password'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l replace -d 'Replace a provider of this name, also a built-in one'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l dry-run -d 'Print what would be written, and write nothing'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from remove" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from remove" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from remove" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from remove" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand provider; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c authctl -n "__fish_authctl_using_subcommand import" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand import" -l format -d 'What the files are, where their names do not tell' -r -f -a "dotenv\t'`.env` of many tools'
mcp\t'MCP servers in JSON: Claude, Cursor, VS Code, Windsurf, Cline, Zed, Gemini'
codex\t'MCP servers in Codex\'s config.toml'
gh\t'gh\'s hosts.yml'
adcp\t'config.json of the adcp command line'"
complete -c authctl -n "__fish_authctl_using_subcommand import" -l as -d 'The name for one secret, by its digest' -r
complete -c authctl -n "__fish_authctl_using_subcommand import" -l skip -d 'Leave one secret alone, by its digest' -r
complete -c authctl -n "__fish_authctl_using_subcommand import" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand import" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand import" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand import" -l apply -d 'Store what was found'
complete -c authctl -n "__fish_authctl_using_subcommand import" -l rewrite -d 'Store it, and put references to authctl in its place in the files'
complete -c authctl -n "__fish_authctl_using_subcommand import" -l dry-run -d 'Show how --rewrite would change the files, and change nothing'
complete -c authctl -n "__fish_authctl_using_subcommand import" -l replace -d 'Replace another secret that is stored under the same name'
complete -c authctl -n "__fish_authctl_using_subcommand import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man schema client-metadata" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man schema client-metadata" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man schema client-metadata" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man schema client-metadata" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man schema client-metadata" -s h -l help -d 'Print help'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man schema client-metadata" -f -a "completions" -d 'Write the completions of every shell into DIRECTORY, or one shell\'s to stdout'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man schema client-metadata" -f -a "man" -d 'Write the man pages into DIRECTORY'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man schema client-metadata" -f -a "schema" -d 'Print the JSON Schema of what --json prints'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man schema client-metadata" -f -a "client-metadata" -d 'Print the document about authctl as a client, for hosting it at an address of yours'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from completions" -l shell -d 'Print the completions of this shell instead of writing files' -r -f -a "bash\t''
zsh\t''
fish\t''
powershell\t''
elvish\t''
nushell\t''"
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from completions" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from completions" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from completions" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from completions" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from man" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from man" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from man" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from man" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from man" -s h -l help -d 'Print help'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from schema" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from schema" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from schema" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from schema" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from schema" -s h -l help -d 'Print help'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from client-metadata" -l url -d 'Where the document will stand; else the one that config.toml names' -r
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from client-metadata" -l account -d 'Account for names that give none' -r
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from client-metadata" -l json -d 'Print data and errors as JSON'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from client-metadata" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from client-metadata" -l no-input -d 'Never ask, also at a terminal'
complete -c authctl -n "__fish_authctl_using_subcommand generate; and __fish_seen_subcommand_from client-metadata" -s h -l help -d 'Print help (see more with \'--help\')'
