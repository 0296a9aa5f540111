#!/usr/bin/env bash
# A program that clones a repository, adds a commit and pushes it.
#
#   git.sh URL KEY_VARIABLE         the key is the password in the URL, as with a token of GitHub
#   git.sh URL KEY_VARIABLE helper  a credential helper has it
#
# Prints {"head", "pushed"}, the commits that were cloned and pushed, and waits for the end of its standard input.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GIT_TERMINAL_PROMPT=0 GIT_CONFIG_NOSYSTEM=1
if [[ ${3-} == helper ]]; then
  url=$1
  export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=credential.helper
  export GIT_CONFIG_VALUE_0="!printf 'username=x-access-token\npassword=%s\n' \"\$$2\" #"
else
  url=${1/:\/\//://x-access-token:${!2}@}
fi
git clone --quiet "$url" "$work/clone" >&2
cd "$work/clone"
head=$(git rev-parse HEAD)
git -c user.name=a -c user.email=a@example.invalid commit --quiet --allow-empty -m more
git push --quiet origin HEAD >&2
printf '{"head": "%s", "pushed": "%s"}\n' "$head" "$(git rev-parse HEAD)"
cat >/dev/null
