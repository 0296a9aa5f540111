
use builtin;
use str;

set edit:completion:arg-completer[authctl] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'authctl'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'authctl'= {
            cand --account 'Account for names that give none'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
            cand login 'Sign in to a provider'
            cand logout 'Sign out: forget, and revoke at the server'
            cand status 'Show what is held, until when, and what mends a bad one'
            cand token 'Print one fresh token'
            cand exec 'Run a command with credentials in its environment'
            cand trust 'Approve what a directory''s authctl.toml asks for'
            cand log 'Show what was handed out, to whom and when'
            cand permission 'Say which credentials coding agents may print'
            cand provider 'List, show, check, add and remove providers'
            cand import 'Take over credentials that other tools keep in the open'
            cand generate 'Generate completions, man pages and JSON Schema'
        }
        &'authctl;login'= {
            cand --account 'Account for names that give none'
            cand --key-file 'File with the key, token or password, or - for standard input'
            cand --user 'Sign in with this user name and a password (basic authentication)'
            cand --scope 'Scopes to ask for, instead of the provider''s'
            cand --client-id 'Your OAuth client at this provider; remembered for later logins'
            cand --client-secret-file 'File with the client''s secret, or - for standard input; remembered with the id'
            cand --client-key-file 'File with the client''s private key (PEM, JWK, or a service account''s JSON), or - for standard input; remembered with the id'
            cand --key-id 'Id of that key, where the server knows several'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand --with-key 'Paste or pipe an API key instead of signing in with OAuth'
            cand --with-token 'The same for a token, where the provider takes both keys and tokens'
            cand --device 'Sign in by a code that is typed on another device'
            cand --browser 'Sign in with the browser on this machine'
            cand --client-credentials 'Sign in as the client itself, with its id and its secret or key'
            cand --new-client 'Register a new client at the server instead of using the one registered earlier'
            cand --no-browser 'Print the URL and do not open a browser'
            cand --resume 'Finish a sign-in that waits: paste or pipe the address where the browser ended, or the code'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'authctl;logout'= {
            cand --account 'Account for names that give none'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand --all 'Every credential in the store'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'authctl;status'= {
            cand --account 'Account for names that give none'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand --check 'Open every credential, refresh what must be, and try it where the provider has a cheap call'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'authctl;token'= {
            cand --account 'Account for names that give none'
            cand --min-ttl 'Least time the token must still live, as in 90s, 10m, 1h'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand --header 'Print the whole header line that the API expects'
            cand --refresh 'Ask the authorization server for a new token in any case'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'authctl;exec'= {
            cand --account 'Account for names that give none'
            cand --with 'Credentials to hand over, joined by commas: NAME, or NAME=VARIABLE to choose the variable'
            cand --env-header 'Hand over a whole header value, as in `Bearer …`, in VARIABLE'
            cand --min-ttl 'Least time that tokens must still live'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand --ask 'Ask what to hand over, even if an earlier answer is remembered for this program here'
            cand --mask 'Write `[masked]` instead of the secrets in output that goes to a pipe or a file'
            cand --clean 'Remove the variables of every known provider, not only of those handed over'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'authctl;trust'= {
            cand --account 'Account for names that give none'
            cand --hash 'Approve without a question, if it still has this hash (authctl trust --show prints it)'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand --show 'Show what it asks for and whether it is approved; change nothing'
            cand --revoke 'Take the approval back'
            cand --list 'List everything that was approved'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'authctl;log'= {
            cand --account 'Account for names that give none'
            cand --since 'Only what is younger than this, as in 90m, 12h, 7d, 2026-11-21 or 2026-11-21T09:00:00Z'
            cand --program 'Only this program: its path, or the name of its file'
            cand -n 'How many of the newest lines; 0 for all of them'
            cand --lines 'How many of the newest lines; 0 for all of them'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -f 'Go on with what happens from now on, until Ctrl-C'
            cand --follow 'Go on with what happens from now on, until Ctrl-C'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'authctl;permission'= {
            cand --account 'Account for names that give none'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -h 'Print help'
            cand --help 'Print help'
            cand list 'List what coding agents may print, and which uses are confirmed'
            cand allow 'Let coding agents print a credential'
            cand withdraw 'Take that permission back'
        }
        &'authctl;permission;list'= {
            cand --account 'Account for names that give none'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'authctl;permission;allow'= {
            cand --account 'Account for names that give none'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'authctl;permission;withdraw'= {
            cand --account 'Account for names that give none'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'authctl;provider'= {
            cand --account 'Account for names that give none'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -h 'Print help'
            cand --help 'Print help'
            cand list 'List the providers: the built-in ones and those of config.toml'
            cand show 'Show one provider: ways to sign in, headers, variables, endpoints'
            cand check 'Check one provider step by step: from its description to a call with the stored credential'
            cand add 'Add a provider to config.toml: from an address by discovery, or from flags'
            cand remove 'Remove a provider from config.toml'
        }
        &'authctl;provider;list'= {
            cand --account 'Account for names that give none'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'authctl;provider;show'= {
            cand --account 'Account for names that give none'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'authctl;provider;check'= {
            cand --account 'Account for names that give none'
            cand --refresh 'Refresh the credential to prove that it can be'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'authctl;provider;add'= {
            cand --name 'Name of the provider found at an address'
            cand --title 'Its name for people'
            cand --base-url 'Where its API is'
            cand --mcp-url 'Where its remote MCP server is'
            cand --host 'A further host to which its credentials may be sent'
            cand --header 'The header of its credentials, as in ''x-api-key: {key}'''
            cand --variable 'An environment variable that its programs read; the first one is set by exec'
            cand --verify 'An address that can be read with a good credential alone'
            cand --create-at 'The page where a person makes a key'
            cand --issuer 'Issuer of its authorization server, exactly as the server''s metadata has it'
            cand --authorization-endpoint 'Authorization endpoint, for a server without metadata'
            cand --token-endpoint 'Token endpoint, for a server without metadata'
            cand --device-authorization-endpoint 'Device authorization endpoint, for a server without metadata'
            cand --grant 'A way to sign in; the first one is used by default'
            cand --scope 'Scopes to ask for, instead of those that the server names'
            cand --resource 'Resource indicator that all requests carry'
            cand --client-id 'Your OAuth client there'
            cand --authentication 'How your client''s secret is sent: client_secret_basic, client_secret_post, none'
            cand --register-at 'The page where a person registers a client'
            cand --pkce 'S256 or unverified, for a server that does not say whether it checks PKCE'
            cand --account 'Account for names that give none'
            cand --api-key 'It takes API keys'
            cand --bearer 'It takes bearer tokens that a person pastes'
            cand --basic 'It takes a name and a password'
            cand --replace 'Replace a provider of this name, also a built-in one'
            cand --dry-run 'Print what would be written, and write nothing'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'authctl;provider;remove'= {
            cand --account 'Account for names that give none'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'authctl;import'= {
            cand --account 'Account for names that give none'
            cand --format 'What the files are, where their names do not tell'
            cand --as 'The name for one secret, by its digest'
            cand --skip 'Leave one secret alone, by its digest'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand --apply 'Store what was found'
            cand --rewrite 'Store it, and put references to authctl in its place in the files'
            cand --replace 'Replace another secret that is stored under the same name'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'authctl;generate'= {
            cand --account 'Account for names that give none'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -h 'Print help'
            cand --help 'Print help'
            cand completions 'Write the completions of every shell into DIRECTORY, or one shell''s to stdout'
            cand man 'Write the man pages into DIRECTORY'
            cand schema 'Print the JSON Schema of what --json prints'
        }
        &'authctl;generate;completions'= {
            cand --shell 'Print the completions of this shell instead of writing files'
            cand --account 'Account for names that give none'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'authctl;generate;man'= {
            cand --account 'Account for names that give none'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'authctl;generate;schema'= {
            cand --account 'Account for names that give none'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -h 'Print help'
            cand --help 'Print help'
        }
    ]
    $completions[$command]
}
