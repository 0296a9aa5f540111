#!/bin/sh
# An MCP server on stdio, scripted by the names of the tools that are called. Each start leaves a line in
# $SERVER_LOG; $REVOKED names a file with tokens that are refused, and where there is $REVOKED-all, all are. With
# MODERN it speaks 2026-07-28 as well, with MODERN=only nothing else; STRICT ends at anything before the handshake.

say() { printf '%s\n' "$1"; }
log() { printf '%s\n' "$1" >> "$SERVER_LOG"; }
text() { say '{"jsonrpc":"2.0","id":'"$1"',"result":{"content":[{"type":"text","text":"'"$2"'"}]}}'; }
refuse() {
  say '{"jsonrpc":"2.0","id":'"$1"',"result":{"isError":true,"content":[{"type":"text","text":"{\"adcp_error\":{\"code\":\"AUTH_REQUIRED\",\"message\":\"sign in first\",\"recovery\":\"correctable\"}}"}],"structuredContent":{"adcp_error":{"code":"AUTH_REQUIRED","message":"sign in first","recovery":"correctable"}}}}'
}
is_good() { [ -n "$DEMO_TOKEN" ] && [ ! -e "$REVOKED-all" ] && ! grep -qxF "$DEMO_TOKEN" "$REVOKED" 2>/dev/null; }

log "started $$ ${DEMO_TOKEN:-without}"
if [ -n "$NEEDS_TOKEN" ] && [ -z "$DEMO_TOKEN" ]; then
  echo 'DEMO_TOKEN is not set' >&2
  exit 1
fi
[ -z "$STUBBORN" ] || trap '' TERM
asked= quizzed= listen= greeted=
whose='{"jsonrpc":"2.0","id":"z1","method":"elicitation/create","params":{"message":"whose?","requestedSchema":{"type":"object","properties":{}}}}'
while IFS= read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/^{\("jsonrpc":"2.0",\)\{0,1\}"id":\("[^"]*"\|[0-9]*\).*/\2/p')
  name=$(printf '%s' "$line" | sed -n 's/clientInfo":{[^}]*}//; s/.*"name":"\([a-z-]*\)".*/\1/p')
  case $line in
    *'"method":"initialize"'*)
      greeted=yes
      [ "$MODERN" != only ] || { say '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32601,"message":"no such method"}}'; continue; }
      [ -z "$CHATTY" ] || say '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"before"}}'
      say '{"jsonrpc":"2.0","id":'"$id"',"result":{"protocolVersion":"2025-11-25","capabilities":{"logging":{},"tools":{"listChanged":true}},"serverInfo":{"name":"scripted","version":"1"}}}'
      [ -z "$CHATTY" ] || say '{"jsonrpc":"2.0","id":"greeting","method":"ping"}' ;;
    *'"id":"greeting"'*) log answered ;;
    *'"method":"notifications/initialized"'*) log initialized ;;
    *'"method":"notifications/cancelled"'*) log cancelled ;;
    *'"method":"server/discover"'*)
      [ -z "$STRICT" ] || [ -n "$greeted" ] || exit 1
      if [ -n "$MODERN" ]; then
        say '{"jsonrpc":"2.0","id":'"$id"',"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}},"ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"scripted","version":"1"}}}}'
      else
        say '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32601,"message":"no such method"}}'
      fi ;;
    *'"method":"subscriptions/listen"'*)
      listen=$id
      log listening
      say '{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":'"$id"'},"notifications":{"toolsListChanged":true}}}' ;;
    *'"method":"tools/list"'*)
      log listed
      case $line in
        *'"cursor":"more"'*) say '{"jsonrpc":"2.0","id":'"$id"',"result":{"tools":[{"name":"region","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"count":{"type":"integer","x-mcp-header":"Count"}}}}]}}' ;;
        *) more=; [ -z "$ANNOTATED" ] || more=',"nextCursor":"more"'
          say '{"jsonrpc":"2.0","id":'"$id"',"result":{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]'"$more"'}}' ;;
      esac ;;
    *'"method":"tools/call"'*)
      case $name in
        echo) say '{"jsonrpc":"2.0",  "id":'"$id"', "result":{"content":[ {"type":"text","text":"\u0065cho 1.50"} ]}}' ;;
        secret) if is_good; then text "$id" 'signed in'; else refuse "$id"; fi ;;
        garbage) say 'Server listening...'; say '{"id":'; text "$id" clean; say 'more of it' ;;
        stderr) echo 'a word to people' >&2; text "$id" said ;;
        die) exit 3 ;;
        never) log waiting ;;
        slow) log slow; (until [ -e "$RELEASE" ]; do sleep 0.05; done; text "$id" "slow $$") & ;;
        who) text "$id" "pid $$" ;;
        daemon)
          setsid sh -c 'sh -c "sleep 1000; :" & log=$SERVER_LOG; echo "daemon $!" >> "$log"' >/dev/null 2>&1
          text "$id" left ;;
        hermit)
          env -i PATH="$PATH" LOG="$SERVER_LOG" setsid sh -c 'sh -c "sleep 1000; :" & echo "hermit $!" >> "$LOG"' >/dev/null 2>&1
          text "$id" left ;;
        orphan) sleep 1000 & log "orphan $!"; text "$id" left ;;
        notice)
          say '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p1","progress":1}}'
          text "$id" noticed ;;
        change)
          text "$id" changed
          params=; [ -z "$listen" ] || params=',"params":{"_meta":{"io.modelcontextprotocol/subscriptionId":'"$listen"'}}'
          say '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"'"$params"'}' ;;
        region) text "$id" 'called' ;;
        quiz) quizzed=$id; log quiz ;;
        nudge) say "$whose" ;;
        after) text "$id" before; say "$whose" ;;
        ask)
          case $MODERN$line in
            *'"requestState":"s1"'*) text "$id" answered; continue ;;
            only*) say '{"jsonrpc":"2.0","id":'"$id"',"result":{"resultType":"input_required","requestState":"s1","inputRequests":{"q":{"method":"elicitation/create","params":{"mode":"form","message":"yes?","requestedSchema":{"type":"object","properties":{}}}}}}}'; continue ;;
          esac
          asked=$id
          say '{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"message":"yes?","requestedSchema":{"type":"object","properties":{}}}}' ;;
      esac ;;
    *'"id":"z1"'*)
      case $line in *'"error"'*) log refused ;; *) log told ;; esac
      [ -z "$quizzed" ] || text "$quizzed" quizzed
      quizzed= ;;
    *'"id":"q1"'*) text "$asked" answered ;;
    *) [ -z "$id" ] || say '{"jsonrpc":"2.0","id":'"$id"',"result":{}}' ;;
  esac
done
log ended
[ -z "$STUBBORN" ] || while :; do sleep 1; done
