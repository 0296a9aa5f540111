
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
            cand provider 'List, show and check providers'
            cand generate 'Generate completions, man pages and JSON Schema'
        }
        &'authctl;login'= {
            cand --account 'Account for names that give none'
            cand --key-file 'File with the key, token or password, or - for standard input'
            cand --user 'Sign in with this user name and a password (basic authentication)'
            cand --scope 'Scopes to ask for, instead of the provider''s'
            cand --client-id 'Your OAuth client at this provider; remembered for later logins'
            cand --client-secret-file 'File with the client''s secret, or - for standard input; remembered with the id'
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand --with-key 'Paste or pipe an API key instead of signing in with OAuth'
            cand --with-token 'The same for a token, where the provider takes both keys and tokens'
            cand --device 'Sign in by a code that is typed on another device'
            cand --browser 'Sign in with the browser on this machine'
            cand --client-credentials 'Sign in as the client itself, with its id and secret'
            cand --new-client 'Register a new client at the server instead of using the one registered earlier'
            cand --no-browser 'Print the URL and do not open a browser'
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
            cand --allow-agents 'From now on print this credential also when a coding agent asks (a person must say so)'
            cand --deny-agents 'Take that permission back'
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
            cand check 'Check one provider step by step: metadata, endpoints, and the stored credential'
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
            cand --json 'Print data and errors as JSON'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand --no-input 'Never ask, also at a terminal'
            cand -h 'Print help'
            cand --help 'Print help'
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
