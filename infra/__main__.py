"""The Pulumi program. The clouds are not part of this version."""

import sys

sys.exit(
    "error: this version brings the platform up on one machine only ('make up'); the stacks gke, "
    "eks and aks hold their places until the cloud program is here"
)
