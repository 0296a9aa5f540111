
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'authctl' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'authctl'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'authctl' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('login', 'login', [CompletionResultType]::ParameterValue, 'Sign in to a provider')
            [CompletionResult]::new('logout', 'logout', [CompletionResultType]::ParameterValue, 'Sign out: forget, and revoke at the server')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show what is held, until when, and what mends a bad one')
            [CompletionResult]::new('token', 'token', [CompletionResultType]::ParameterValue, 'Print one fresh token')
            [CompletionResult]::new('exec', 'exec', [CompletionResultType]::ParameterValue, 'Run a command with credentials in its environment')
            [CompletionResult]::new('trust', 'trust', [CompletionResultType]::ParameterValue, 'Approve what a directory''s authctl.toml asks for')
            [CompletionResult]::new('log', 'log', [CompletionResultType]::ParameterValue, 'Show what was handed out, to whom and when')
            [CompletionResult]::new('mcp', 'mcp', [CompletionResultType]::ParameterValue, 'Reach an MCP server: sign in, and bridge to it')
            [CompletionResult]::new('proxy', 'proxy', [CompletionResultType]::ParameterValue, 'Lend credentials to programs that never hold them')
            [CompletionResult]::new('acp', 'acp', [CompletionResultType]::ParameterValue, 'Sign a coding agent in to its editor, over the Agent Client Protocol')
            [CompletionResult]::new('permission', 'permission', [CompletionResultType]::ParameterValue, 'Say which credentials coding agents may print')
            [CompletionResult]::new('provider', 'provider', [CompletionResultType]::ParameterValue, 'List, show, check, add and remove providers')
            [CompletionResult]::new('import', 'import', [CompletionResultType]::ParameterValue, 'Take over credentials that other tools keep in the open')
            [CompletionResult]::new('generate', 'generate', [CompletionResultType]::ParameterValue, 'Generate completions, man pages and JSON Schema')
            break
        }
        'authctl;login' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'What the server at the address is called here, instead of a name from its host')
            [CompletionResult]::new('--key-file', '--key-file', [CompletionResultType]::ParameterName, 'File with the key, token or password, or - for standard input')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Sign in with this user name and a password (basic authentication)')
            [CompletionResult]::new('--scope', '--scope', [CompletionResultType]::ParameterName, 'Scopes to ask for, instead of the provider''s')
            [CompletionResult]::new('--client-id', '--client-id', [CompletionResultType]::ParameterName, 'Your OAuth client at this provider; remembered for later logins')
            [CompletionResult]::new('--client-secret-file', '--client-secret-file', [CompletionResultType]::ParameterName, 'File with the client''s secret, or - for standard input; remembered with the id')
            [CompletionResult]::new('--client-key-file', '--client-key-file', [CompletionResultType]::ParameterName, 'File with the client''s private key (PEM, JWK, or a service account''s JSON), or - for standard input; remembered with the id')
            [CompletionResult]::new('--key-id', '--key-id', [CompletionResultType]::ParameterName, 'Id of that key, where the server knows several')
            [CompletionResult]::new('--client-metadata-url', '--client-metadata-url', [CompletionResultType]::ParameterName, 'Address of the published document about your client, for servers that take such a client (authctl generate client-metadata prints one)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('--with-key', '--with-key', [CompletionResultType]::ParameterName, 'Paste or pipe an API key instead of signing in with OAuth')
            [CompletionResult]::new('--with-token', '--with-token', [CompletionResultType]::ParameterName, 'The same for a token, where the provider takes both keys and tokens')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Sign in by a code that is typed on another device')
            [CompletionResult]::new('--browser', '--browser', [CompletionResultType]::ParameterName, 'Sign in with the browser on this machine')
            [CompletionResult]::new('--client-credentials', '--client-credentials', [CompletionResultType]::ParameterName, 'Sign in as the client itself, with its id and its secret or key')
            [CompletionResult]::new('--dpop', '--dpop', [CompletionResultType]::ParameterName, 'Ask for tokens that are bound to a key (DPoP), and take no others')
            [CompletionResult]::new('--new-client', '--new-client', [CompletionResultType]::ParameterName, 'Register a new client at the server instead of using the one registered earlier')
            [CompletionResult]::new('--no-browser', '--no-browser', [CompletionResultType]::ParameterName, 'Print the URL and do not open a browser')
            [CompletionResult]::new('--resume', '--resume', [CompletionResultType]::ParameterName, 'Finish a sign-in that waits: paste or pipe the address where the browser ended, or the code')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;logout' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Every credential in the store')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;status' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'Open every credential, refresh what must be, and try it where the provider has a cheap call')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;token' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--min-ttl', '--min-ttl', [CompletionResultType]::ParameterName, 'Least time the token must still live, as in 90s, 10m, 1h')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Print the whole header line that the API expects')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Ask the authorization server for a new token in any case')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;exec' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--with', '--with', [CompletionResultType]::ParameterName, 'Credentials to hand over, joined by commas: NAME, or NAME=VARIABLE to choose the variable')
            [CompletionResult]::new('--env-header', '--env-header', [CompletionResultType]::ParameterName, 'Hand over a whole header value, as in `Bearer …`, in VARIABLE')
            [CompletionResult]::new('--min-ttl', '--min-ttl', [CompletionResultType]::ParameterName, 'Least time that tokens must still live')
            [CompletionResult]::new('--allow', '--allow', [CompletionResultType]::ParameterName, 'Send only these requests, as in ''GET /v1/*'' or ''* api.example.com/v1/*''; * stands for any text')
            [CompletionResult]::new('--deny', '--deny', [CompletionResultType]::ParameterName, 'Never send these requests')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Header of each request, as in ''X-Team: blue''; ${NAME} stands for a variable of the environment')
            [CompletionResult]::new('--secret-header', '--secret-header', [CompletionResultType]::ParameterName, 'Header whose value is another stored credential, as in X-Api-Key=NAME')
            [CompletionResult]::new('--id-header', '--id-header', [CompletionResultType]::ParameterName, 'Header that tells the server the id of the credential, which is stable and not secret')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('--ask', '--ask', [CompletionResultType]::ParameterName, 'Ask what to hand over, even if an earlier answer is remembered for this program here')
            [CompletionResult]::new('--mask', '--mask', [CompletionResultType]::ParameterName, 'Write `[masked]` instead of the secrets in output that goes to a pipe or a file')
            [CompletionResult]::new('--clean', '--clean', [CompletionResultType]::ParameterName, 'Remove the variables of every known provider, not only of those handed over')
            [CompletionResult]::new('--proxy', '--proxy', [CompletionResultType]::ParameterName, 'Keep the secrets out of the command: its variables hold placeholders, which a proxy beside it replaces')
            [CompletionResult]::new('--strict', '--strict', [CompletionResultType]::ParameterName, 'With --proxy, let the command reach no host but those of the credentials')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;trust' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--hash', '--hash', [CompletionResultType]::ParameterName, 'Approve without a question, if it still has this hash (authctl trust --show prints it)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('--show', '--show', [CompletionResultType]::ParameterName, 'Show what it asks for and whether it is approved; change nothing')
            [CompletionResult]::new('--revoke', '--revoke', [CompletionResultType]::ParameterName, 'Take the approval back')
            [CompletionResult]::new('--list', '--list', [CompletionResultType]::ParameterName, 'List everything that was approved')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;log' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'Only what is younger than this, as in 90m, 12h, 7d, 2026-11-21 or 2026-11-21T09:00:00Z')
            [CompletionResult]::new('--program', '--program', [CompletionResultType]::ParameterName, 'Only this program: its path, or the name of its file')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'How many of the newest lines; 0 for all of them')
            [CompletionResult]::new('--lines', '--lines', [CompletionResultType]::ParameterName, 'How many of the newest lines; 0 for all of them')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Go on with what happens from now on, until Ctrl-C')
            [CompletionResult]::new('--follow', '--follow', [CompletionResultType]::ParameterName, 'Go on with what happens from now on, until Ctrl-C')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;mcp' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'The credential to use, where it is not the server''s own: an account, or another name')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Header of each request, as in ''X-Team: blue''; ${NAME} stands for a variable of the environment')
            [CompletionResult]::new('--secret-header', '--secret-header', [CompletionResultType]::ParameterName, 'Header whose value is another stored credential, as in X-Api-Key=NAME')
            [CompletionResult]::new('--allow-tool', '--allow-tool', [CompletionResultType]::ParameterName, 'Show and allow only these tools; * stands for any text')
            [CompletionResult]::new('--deny-tool', '--deny-tool', [CompletionResultType]::ParameterName, 'Hide and refuse these tools')
            [CompletionResult]::new('--list-wait', '--list-wait', [CompletionResultType]::ParameterName, 'How long lists wait for a sign-in before a tool stands in their place')
            [CompletionResult]::new('--call-wait', '--call-wait', [CompletionResultType]::ParameterName, 'How long other calls wait for it before they are answered')
            [CompletionResult]::new('--answer-wait', '--answer-wait', [CompletionResultType]::ParameterName, 'How long the server may leave a request without a word [default: 10m]')
            [CompletionResult]::new('--client-id', '--client-id', [CompletionResultType]::ParameterName, 'Your OAuth client at the authorization server; remembered')
            [CompletionResult]::new('--client-secret-file', '--client-secret-file', [CompletionResultType]::ParameterName, 'File with the client''s secret; AUTHCTL_CLIENT_SECRET can hold it as well')
            [CompletionResult]::new('--client-key-file', '--client-key-file', [CompletionResultType]::ParameterName, 'File with the client''s private key (PEM, JWK, or a service account''s JSON)')
            [CompletionResult]::new('--key-id', '--key-id', [CompletionResultType]::ParameterName, 'Id of that key, where the server knows several')
            [CompletionResult]::new('--client-metadata-url', '--client-metadata-url', [CompletionResultType]::ParameterName, 'Where the client''s metadata document is hosted')
            [CompletionResult]::new('--scope', '--scope', [CompletionResultType]::ParameterName, 'Scopes to ask for, instead of those that the server names')
            [CompletionResult]::new('--with', '--with', [CompletionResultType]::ParameterName, 'Credentials for the command, joined by commas: NAME, or NAME=VARIABLE to choose the variable')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Serve the command to HTTP clients of this computer, on this port or any free one')
            [CompletionResult]::new('--secret-file', '--secret-file', [CompletionResultType]::ParameterName, 'File with the secret that clients send as `Authorization: Bearer …`, instead of a random one')
            [CompletionResult]::new('--idle', '--idle', [CompletionResultType]::ParameterName, 'Time without a request after which a session and its command end')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('--no-browser', '--no-browser', [CompletionResultType]::ParameterName, 'Never open a browser: the client shows the link, or gets a tool that gives it')
            [CompletionResult]::new('--client-credentials', '--client-credentials', [CompletionResultType]::ParameterName, 'Sign in as the client itself')
            [CompletionResult]::new('--dpop', '--dpop', [CompletionResultType]::ParameterName, 'Ask for tokens that are bound to a key (DPoP), and take no others')
            [CompletionResult]::new('--no-secret', '--no-secret', [CompletionResultType]::ParameterName, 'Serve every program of this computer, without a secret')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('install', 'install', [CompletionResultType]::ParameterValue, 'Let MCP clients reach a server through authctl')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the servers of MCP clients, and which of them go through authctl')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Take a server out of MCP clients'' files')
            [CompletionResult]::new('import', 'import', [CompletionResultType]::ParameterValue, 'Take over the keys that stand in MCP clients'' files')
            break
        }
        'authctl;mcp;install' {
            [CompletionResult]::new('--file', '--file', [CompletionResultType]::ParameterName, 'A file of a client that authctl does not know')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Name of the server in the clients'' files')
            [CompletionResult]::new('--with', '--with', [CompletionResultType]::ParameterName, 'Credential for a command, as NAME or NAME=VARIABLE')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'A header that is no secret, for an address')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'All clients that are on this machine')
            [CompletionResult]::new('--project', '--project', [CompletionResultType]::ParameterName, 'The client''s file for this project, instead of the one for you; authctl is called by its name there')
            [CompletionResult]::new('--replace', '--replace', [CompletionResultType]::ParameterName, 'Replace a server of that name which does not go through authctl')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would change, and write nothing')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Write without asking')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Write without asking')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;mcp;list' {
            [CompletionResult]::new('--file', '--file', [CompletionResultType]::ParameterName, 'A file of a client that authctl does not know')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;mcp;remove' {
            [CompletionResult]::new('--file', '--file', [CompletionResultType]::ParameterName, 'A file of a client that authctl does not know')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'All clients that are on this machine')
            [CompletionResult]::new('--project', '--project', [CompletionResultType]::ParameterName, 'The client''s file for this project, instead of the one for you; authctl is called by its name there')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Also a server that does not go through authctl')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would change, and write nothing')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Write without asking')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Write without asking')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;mcp;import' {
            [CompletionResult]::new('--as', '--as', [CompletionResultType]::ParameterName, 'The name for one secret, by its digest')
            [CompletionResult]::new('--skip', '--skip', [CompletionResultType]::ParameterName, 'Leave one secret alone, by its digest')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--apply', '--apply', [CompletionResultType]::ParameterName, 'Store what was found')
            [CompletionResult]::new('--rewrite', '--rewrite', [CompletionResultType]::ParameterName, 'Store it, and put references to authctl in its place in the files')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show how --rewrite would change the files, and change nothing')
            [CompletionResult]::new('--replace', '--replace', [CompletionResultType]::ParameterName, 'Replace another secret that is stored under the same name')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;proxy' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--with', '--with', [CompletionResultType]::ParameterName, 'Credentials that requests get, joined by commas')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'Listen on this port instead of any free one')
            [CompletionResult]::new('--allow', '--allow', [CompletionResultType]::ParameterName, 'Send only these requests, as in ''GET /v1/*'' or ''* api.example.com/v1/*''; * stands for any text')
            [CompletionResult]::new('--deny', '--deny', [CompletionResultType]::ParameterName, 'Never send these requests')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Header of each request, as in ''X-Team: blue''; ${NAME} stands for a variable of the environment')
            [CompletionResult]::new('--secret-header', '--secret-header', [CompletionResultType]::ParameterName, 'Header whose value is another stored credential, as in X-Api-Key=NAME')
            [CompletionResult]::new('--id-header', '--id-header', [CompletionResultType]::ParameterName, 'Header that tells the server the id of the credential, which is stable and not secret')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('--strict', '--strict', [CompletionResultType]::ParameterName, 'As a forward proxy, reach no host but those of the credentials')
            [CompletionResult]::new('--secret-in-path', '--secret-in-path', [CompletionResultType]::ParameterName, 'Also take the key in the path, /~KEY/NAME/…, for clients that can send none')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;acp' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--with', '--with', [CompletionResultType]::ParameterName, 'Credentials for the agent, joined by commas: NAME, or NAME=VARIABLE to choose the variable')
            [CompletionResult]::new('--keep-env', '--keep-env', [CompletionResultType]::ParameterName, 'Leave this variable in the agent''s environment, though it is one for a credential')
            [CompletionResult]::new('--way', '--way', [CompletionResultType]::ParameterName, 'Hand them over in this way alone: providers-set, gateway, base-url, helper, in-band, variable, profile or own')
            [CompletionResult]::new('--print-config', '--print-config', [CompletionResultType]::ParameterName, 'Print what an editor''s configuration needs, and start nothing')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('--chain', '--chain', [CompletionResultType]::ParameterName, 'Be a part of a chain of proxies, whose conductor runs the agent: in-band ways alone')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Try an agent: what it offers, what it would get and by which way, and what is missing')
            [CompletionResult]::new('helper', 'helper', [CompletionResultType]::ParameterValue, 'Print the credential of a session, for an agent that it started')
            break
        }
        'authctl;acp;doctor' {
            [CompletionResult]::new('--with', '--with', [CompletionResultType]::ParameterName, 'Credentials for the agent, joined by commas: NAME, or NAME=VARIABLE to choose the variable')
            [CompletionResult]::new('--keep-env', '--keep-env', [CompletionResultType]::ParameterName, 'Leave this variable in the agent''s environment, though it is one for a credential')
            [CompletionResult]::new('--way', '--way', [CompletionResultType]::ParameterName, 'Hand them over in this way alone: providers-set, gateway, base-url, helper, in-band, variable, profile or own')
            [CompletionResult]::new('--remember', '--remember', [CompletionResultType]::ParameterName, 'Bind the credentials to this agent for good: in this project, or everywhere')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'How long the agent may take for each answer')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Open a session as well')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;acp;helper' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'authctl;permission' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List what coding agents may print, which uses are confirmed, and what editors'' agents may have')
            [CompletionResult]::new('allow', 'allow', [CompletionResultType]::ParameterValue, 'Let coding agents print a credential')
            [CompletionResult]::new('withdraw', 'withdraw', [CompletionResultType]::ParameterValue, 'Take a permission back: to print a credential, or what an editor''s agent may have')
            break
        }
        'authctl;permission;list' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'authctl;permission;allow' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;permission;withdraw' {
            [CompletionResult]::new('--agent', '--agent', [CompletionResultType]::ParameterName, 'An agent of authctl acp, as permission list names it, which is to have nothing any more')
            [CompletionResult]::new('--project', '--project', [CompletionResultType]::ParameterName, 'Only in this project')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'authctl;provider' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the providers: the built-in ones and those of config.toml')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show one provider: ways to sign in, headers, variables, endpoints')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check one provider step by step: from its description to a call with the stored credential')
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Add a provider to config.toml: from an address by discovery, or from flags')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Remove a provider from config.toml, or one that was found at its address')
            break
        }
        'authctl;provider;list' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'authctl;provider;show' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'authctl;provider;check' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Refresh the credential to prove that it can be')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;provider;add' {
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Name of the provider found at an address')
            [CompletionResult]::new('--title', '--title', [CompletionResultType]::ParameterName, 'Its name for people')
            [CompletionResult]::new('--base-url', '--base-url', [CompletionResultType]::ParameterName, 'Where its API is')
            [CompletionResult]::new('--base-url-variable', '--base-url-variable', [CompletionResultType]::ParameterName, 'A variable from which its programs take the base URL')
            [CompletionResult]::new('--mcp-url', '--mcp-url', [CompletionResultType]::ParameterName, 'Where its remote MCP server is')
            [CompletionResult]::new('--host', '--host', [CompletionResultType]::ParameterName, 'A further host to which its credentials may be sent')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'The header of its credentials, as in ''x-api-key: {key}''')
            [CompletionResult]::new('--variable', '--variable', [CompletionResultType]::ParameterName, 'An environment variable that its programs read; the first one is set by exec')
            [CompletionResult]::new('--verify', '--verify', [CompletionResultType]::ParameterName, 'An address that can be read with a good credential alone')
            [CompletionResult]::new('--create-at', '--create-at', [CompletionResultType]::ParameterName, 'The page where a person makes a key')
            [CompletionResult]::new('--issuer', '--issuer', [CompletionResultType]::ParameterName, 'Issuer of its authorization server, exactly as the server''s metadata has it')
            [CompletionResult]::new('--authorization-endpoint', '--authorization-endpoint', [CompletionResultType]::ParameterName, 'Authorization endpoint, for a server without metadata')
            [CompletionResult]::new('--token-endpoint', '--token-endpoint', [CompletionResultType]::ParameterName, 'Token endpoint, for a server without metadata')
            [CompletionResult]::new('--device-authorization-endpoint', '--device-authorization-endpoint', [CompletionResultType]::ParameterName, 'Device authorization endpoint, for a server without metadata')
            [CompletionResult]::new('--grant', '--grant', [CompletionResultType]::ParameterName, 'A way to sign in; the first one is used by default')
            [CompletionResult]::new('--scope', '--scope', [CompletionResultType]::ParameterName, 'Scopes to ask for, instead of those that the server names')
            [CompletionResult]::new('--resource', '--resource', [CompletionResultType]::ParameterName, 'Resource indicator that all requests carry')
            [CompletionResult]::new('--client-id', '--client-id', [CompletionResultType]::ParameterName, 'Your OAuth client there')
            [CompletionResult]::new('--authentication', '--authentication', [CompletionResultType]::ParameterName, 'How your client''s secret is sent: client_secret_basic, client_secret_post, none')
            [CompletionResult]::new('--register-at', '--register-at', [CompletionResultType]::ParameterName, 'The page where a person registers a client')
            [CompletionResult]::new('--pkce', '--pkce', [CompletionResultType]::ParameterName, 'S256 or unverified, for a server that does not say whether it checks PKCE')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--api-key', '--api-key', [CompletionResultType]::ParameterName, 'It takes API keys')
            [CompletionResult]::new('--bearer', '--bearer', [CompletionResultType]::ParameterName, 'It takes bearer tokens that a person pastes')
            [CompletionResult]::new('--basic', '--basic', [CompletionResultType]::ParameterName, 'It takes a name and a password')
            [CompletionResult]::new('--replace', '--replace', [CompletionResultType]::ParameterName, 'Replace a provider of this name, also a built-in one')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print what would be written, and write nothing')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;provider;remove' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'authctl;import' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'What the files are, where their names do not tell')
            [CompletionResult]::new('--as', '--as', [CompletionResultType]::ParameterName, 'The name for one secret, by its digest')
            [CompletionResult]::new('--skip', '--skip', [CompletionResultType]::ParameterName, 'Leave one secret alone, by its digest')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('--apply', '--apply', [CompletionResultType]::ParameterName, 'Store what was found')
            [CompletionResult]::new('--rewrite', '--rewrite', [CompletionResultType]::ParameterName, 'Store it, and put references to authctl in its place in the files')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show how --rewrite would change the files, and change nothing')
            [CompletionResult]::new('--replace', '--replace', [CompletionResultType]::ParameterName, 'Replace another secret that is stored under the same name')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;generate' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Write the completions of every shell into DIRECTORY, or one shell''s to stdout')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Write the man pages into DIRECTORY')
            [CompletionResult]::new('schema', 'schema', [CompletionResultType]::ParameterValue, 'Print the JSON Schema of what --json prints')
            [CompletionResult]::new('client-metadata', 'client-metadata', [CompletionResultType]::ParameterValue, 'Print the document about authctl as a client, for hosting it at an address of yours')
            break
        }
        'authctl;generate;completions' {
            [CompletionResult]::new('--shell', '--shell', [CompletionResultType]::ParameterName, 'Print the completions of this shell instead of writing files')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'authctl;generate;man' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'authctl;generate;schema' {
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'authctl;generate;client-metadata' {
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'Where the document will stand; else the one that config.toml names')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Account for names that give none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data and errors as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask, also at a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
