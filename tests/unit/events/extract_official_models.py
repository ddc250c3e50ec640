"""Make official_models.json of the npm package @azure/eventgrid: what its types say of the router's events.

npm pack @azure/eventgrid@5.12.0 && tar xzf azure-eventgrid-5.12.0.tgz
python tests/unit/events/extract_official_models.py package > tests/unit/events/official_models.json
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

NOTICE = (
    "Names and types of the system-event models in the npm package @azure/eventgrid, extracted by "
    "extract_official_models.py. Copyright (c) Microsoft Corporation, MIT License."
)


def extract(package: Path) -> dict[str, object]:
    models = package / "dist/esm/generated/models"
    declarations = re.sub(r"/\*\*.*?\*/", "", (models / "index.d.ts").read_text(), flags=re.S)
    # The one field of these models that has another name on the wire.
    wire_names = dict(re.findall(r'(labelValue): \{\s*serializedName: "(\w+)"', (models / "mappers.js").read_text()))
    interfaces: dict[str, dict[str, object]] = {}
    pattern = r"export (?:declare )?interface (AcsRouter\w+)(?: extends (\w+))? \{(.*?)\n\}"
    for name, parent, body in re.findall(pattern, declarations, flags=re.S):
        flat = re.sub(r"\{\s*\[propertyName: string\]: string;\s*\}", "Labels", body)
        fields = re.findall(r"^\s*(\w+)(\??): ([^;]+);", flat, flags=re.M)
        interfaces[name] = {
            "extends": parent or None,
            "fields": {
                wire_names.get(field, field): {"type": kind, "optional": bool(mark)} for field, mark, kind in fields
            },
        }
    enums = {
        name: re.findall(r'= "(\w+)"', body)
        for name, body in re.findall(r"enum Known(AcsRouter\w+) \{(.*?)\}", declarations, flags=re.S)
    }
    version = json.loads((package / "package.json").read_text())["version"]
    return {"notice": NOTICE, "version": version, "interfaces": interfaces, "enums": enums}


if __name__ == "__main__":
    print(json.dumps(extract(Path(sys.argv[1])), indent=1))
