"""What `kubectl kustomize` makes of a folder, as far as our manifests use it.

Known: resources, namespace, nameSuffix, labels with selectors, images, JSON patches by kind. Anything else is an error,
so that nothing is rendered here that kubectl would render otherwise; where kubectl is there, a test compares.
"""

import copy

import yaml

KNOWN = {"apiVersion", "kind", "resources", "namespace", "nameSuffix", "labels", "patches", "images"}
CLUSTER_WIDE = {"Namespace"}


def render(folder):
    file = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(file) <= KNOWN, f"{folder}: this renderer does not know {set(file) - KNOWN}"
    documents = []
    for name in file["resources"]:
        path = (folder / name).resolve()
        if path.is_dir():
            documents += render(path)
        else:
            documents += list(yaml.safe_load_all(path.read_text()))
    for document in documents:
        for patch in file.get("patches", []):
            if patch["target"] == {"kind": document["kind"]}:
                apply(document, yaml.safe_load(patch["patch"]))
        for labels in file.get("labels", []):
            add_labels(document, labels)
        for image in file.get("images", []):
            for container in containers(document):
                if container["image"] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"
        if document["kind"] not in CLUSTER_WIDE:
            document["metadata"]["namespace"] = file["namespace"]
            document["metadata"]["name"] += file.get("nameSuffix", "")
    return copy.deepcopy(documents)  # YAML's anchors share what patches must not


def pod(document):
    return document.get("spec", {}).get("template", {}).get("spec", {})


def containers(document):
    return [*pod(document).get("initContainers", []), *pod(document).get("containers", [])]


def add_labels(document, labels):
    places = [document["metadata"].setdefault("labels", {})]
    if labels["includeSelectors"] and pod(document):
        template = document["spec"]["template"]
        places += [document["spec"]["selector"]["matchLabels"], template["metadata"]["labels"]]
    for place in places:
        place.update(labels["pairs"])


def apply(document, patch):
    """RFC 6902's add, remove and replace."""
    for step in patch:
        *path, last = (part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:])
        place = document
        for part in path:
            place = place[int(part)] if isinstance(place, list) else place[part]
        key = int(last) if isinstance(place, list) else last
        if step["op"] != "add":
            assert place[key] is not None, step["path"]
        if step["op"] == "remove":
            del place[key]
        else:
            place[key] = step["value"]
