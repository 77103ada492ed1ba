"""People look: what the inspector knows, as text, trees and tables, and as the JSON documents of `--json`.

Functions from values to text; nothing here reads files or prints.
"""
