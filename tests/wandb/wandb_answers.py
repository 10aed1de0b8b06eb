"""What the loopback backend answers to each GraphQL operation, by the operation's name in lower case."""

import json
from typing import Any

Answer = dict[str, Any]
LAB = {"id": "entity", "name": "lab"}
PROJECT = {"id": "project", "internalId": "cHJvamVjdA==", "name": "orthontk", "entityName": "lab", "entity": LAB}
NO_EDGES = {"edges": [], "pageInfo": {"endCursor": None, "hasNextPage": False}}


def viewer(backend: Any, variables: Answer) -> Answer:
    user = {"id": "user", "entity": "lab", "username": "user", "name": "user", "email": "", "flags": "{}"}
    return {"viewer": user | {"admin": False, "teams": NO_EDGES, "apiKeys": NO_EDGES, "organizations": []}}


def server_info(backend: Any, variables: Answer) -> Answer:
    return {"serverInfo": {"cliVersionInfo": {"max_cli_version": "1"}, "latestLocalVersionInfo": None, "features": []}}


def upsert_run(backend: Any, variables: Answer) -> Answer:
    run = backend.runs[variables["name"]]
    run.config |= {name: entry["value"] for name, entry in json.loads(variables.get("config") or "{}").items()}
    run.sweep = variables.get("sweep") or run.sweep
    bucket = {"id": variables["name"], "name": variables["name"], "displayName": variables["name"], "config": "{}"}
    bucket |= {"description": None, "sweepName": run.sweep, "historyLineCount": len(run.history), "project": PROJECT}
    return {"upsertBucket": {"inserted": True, "bucket": bucket}}


def run_resume_status(backend: Any, variables: Answer) -> Answer:
    """What there is of a run that is begun with resume="allow"; nothing of one that is new."""
    bucket = None
    if variables["name"] in backend.runs and (run := backend.runs[variables["name"]]).history:
        last = json.dumps(run.history[max(run.history)])
        bucket = {"id": variables["name"], "name": variables["name"], "displayName": variables["name"], "tags": []}
        bucket |= {"historyLineCount": len(run.history), "historyTail": json.dumps([last]), "eventsTail": "[]"}
        bucket |= {"eventsLineCount": 0, "logLineCount": 0, "summaryMetrics": json.dumps(run.summary)}
        bucket |= {"config": json.dumps({key: {"value": value} for key, value in run.config.items()})}
        bucket["wandbConfig"] = json.dumps({"t": 1})  # which tells it from a run that was never begun
    return {"model": PROJECT | {"bucket": bucket}}


def create_run_files(backend: Any, variables: Answer) -> Answer:
    files = [{"name": name, "uploadUrl": _url(backend, variables["run"], name)} for name in variables["files"]]
    return {"createRunFiles": {"runID": variables["run"], "uploadHeaders": [], "files": files}}


def create_artifact(backend: Any, variables: Answer) -> Answer:
    own = variables.get("input", variables)
    sequence = {"id": "sequence", "name": "sequence", "latestArtifact": None}
    artifact = {"id": "artifact", "state": "PENDING", "digest": own["digest"], "artifactSequence": sequence}
    return {"createArtifact": {"artifact": artifact}}


def _manifest(backend: Any) -> Answer:
    name = "wandb_manifest.json"
    file = {"id": "file", "name": name, "displayName": name, "uploadUrl": _url(backend, "artifact", name)}
    return {"artifactManifest": {"id": "manifest", "file": file | {"uploadHeaders": []}}}


def create_artifact_files(backend: Any, variables: Answer) -> Answer:
    asked = variables.get("artifactFiles") or variables["input"]["artifactFiles"]
    nodes = []
    for number, name in enumerate(file["name"] for file in asked):
        node = {"id": str(number), "name": name, "displayName": name, "uploadUrl": _url(backend, "artifact", name)}
        node |= {"uploadHeaders": [], "uploadMultipartUrls": None, "storagePath": name, "artifact": {"id": "artifact"}}
        nodes.append({"node": node})
    return {"createArtifactFiles": {"files": {"edges": nodes}}}


def upsert_project(backend: Any, variables: Answer) -> Answer:
    made = {"project": PROJECT, "model": PROJECT, "inserted": True}
    return {"upsertModel": made, "result": made}  # one of the two requests renames it


def upsert_view(backend: Any, variables: Answer) -> Answer:
    backend.reports[variables["displayName"]] = json.loads(variables["spec"])
    view = {name: variables[name] for name in ("name", "displayName", "description", "spec")}
    view |= {"id": "report", "type": "runs", "project": PROJECT, "createdAt": "2026-01-01T00:00:00"}
    return {"upsertView": {"inserted": True, "view": view | {"updatedAt": "2026-01-01T00:00:00"}}}


def upsert_sweep(backend: Any, variables: Answer) -> Answer:
    backend.sweep_config = variables["config"]
    return {"upsertSweep": {"sweep": {"name": "sweep", "project": PROJECT}, "configValidationWarnings": []}}


def sweep_with_runs(backend: Any, variables: Answer) -> Answer:
    sweep = {"id": "sweep", "name": "sweep", "method": "grid", "state": "RUNNING", "config": backend.sweep_config}
    sweep |= dict.fromkeys(("description", "createdAt", "heartbeatAt", "updatedAt"), "")
    sweep |= {"earlyStopJobRunning": False, "bestLoss": None, "controller": None, "scheduler": None}
    return {"project": {"sweep": sweep | {"runs": {"edges": []}}}}


def heartbeat(backend: Any, variables: Answer) -> Answer:
    is_busy = any(json.loads(variables["runState"]).values())
    commands = [] if is_busy else backend.next_commands()
    return {"agentHeartbeat": {"agent": {"id": "agent"}, "commands": json.dumps(commands)}}


def _url(backend: Any, owner: str, name: str) -> str:
    return f"{backend.url}/upload/{owner}/{name}"


ANSWERS = {
    "viewer": viewer,
    "getdefaultentity": viewer,
    "serverinfoquery": server_info,
    "serverfeaturesquery": server_info,
    "upsertbucket": upsert_run,
    "runresumestatus": run_resume_status,
    "createrunfiles": create_run_files,
    "artifacttype": lambda backend, variables: {"project": {"artifact": None}},  # of one that is not there yet
    "createartifact": create_artifact,
    "createartifactmanifest": lambda backend, variables: {"createArtifactManifest": _manifest(backend)},
    "updateartifactmanifest": lambda backend, variables: {"updateArtifactManifest": _manifest(backend)},
    "createartifactfiles": create_artifact_files,
    "commitartifact": lambda backend, variables: {"commitArtifact": {"artifact": {"id": "artifact", "digest": ""}}},
    "upsertview": upsert_view,
    "projectinternalid": lambda backend, variables: {"project": PROJECT},
    "getprojects": lambda backend, variables: {"models": NO_EDGES},
    "createproject": upsert_project,
    "upsertmodel": upsert_project,
    "upsertsweep": upsert_sweep,
    "sweepwithruns": sweep_with_runs,
    "createagent": lambda backend, variables: {"createAgent": {"agent": {"id": "agent"}}},
    "heartbeat": heartbeat,
}
