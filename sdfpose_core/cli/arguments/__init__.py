"""The command lines: the arguments of each command, without what its work needs.

``--help`` and wrong arguments answer at once, because these modules import neither torch nor
Open3D. The work of a command is imported when it begins, see `run_of`.
"""

from __future__ import annotations
