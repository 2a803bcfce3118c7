"""Unpacks FOLDER/wheels/*.whl, CDK bindings of Terraform providers: the description of each into FOLDER/bindings,
and `SOURCE VERSION` of each into FOLDER/versions. A binding holds a jsii assembly, which lists each resource's
attributes, and names the release of the provider that it was made from."""

import io
import json
import pathlib
import re
import sys
import tarfile
import zipfile

folder = pathlib.Path(sys.argv[1])
(folder / "bindings").mkdir()
versions = []
for wheel in sorted((folder / "wheels").glob("*.whl")):
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as inner:
            text = inner.extractfile("package/.jsii").read().decode()
    source, version = re.search(r"registry\.terraform\.io/providers/(\w+/\w+)/([0-9.]+[0-9])", text).groups()
    # Only what the configurations of resources, data sources and providers look like.
    types = {
        key: {
            "name": of["name"],
            "module": of.get("namespace", ""),
            "properties": [
                {
                    "name": one["name"],
                    "optional": one.get("optional", False),
                    "block": one.get("docs", {}).get("summary", "").endswith(" block."),
                }
                for one in of.get("properties", [])
            ],
        }
        for key, of in json.loads(text)["types"].items()
        if of["kind"] == "interface"
    }
    versions.append(f"{source} {version}")
    (folder / "bindings" / f"{source.split('/')[1]}.json").write_text(json.dumps(types))
(folder / "versions").write_text("\n".join(versions) + "\n")
