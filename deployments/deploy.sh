#!/bin/sh
# Deploy prefect.yaml to the server of PREFECT_API_URL, and its work pool where there is none yet:
#   sh deployments/deploy.sh TYPE [JOB_TEMPLATE]
# TYPE is the pool's, `process` or `kubernetes`; JOB_TEMPLATE is what its jobs look like. With
# DEEPREC_TEAM everything carries the team's name and works in the DEEPREC_HOME of now.
set -eu
cd "$(dirname "$0")/.."

type=${1:?process or kubernetes}
template=${2:-}
file=deployments/prefect.yaml

if ! prefect --no-prompt work-pool inspect deeprec > /dev/null 2>&1; then
    prefect --no-prompt work-pool create deeprec --type "$type"
fi
if [ -n "$template" ]; then
    prefect --no-prompt work-pool update deeprec --base-job-template "$template"
fi
if [ -n "${DEEPREC_TEAM:-}" ]; then
    file=$(mktemp)
    trap 'rm -f "$file"' EXIT
    python -m flows.teams "$DEEPREC_TEAM" > "$file"
fi
prefect --no-prompt deploy --all --prefect-file "$file"
