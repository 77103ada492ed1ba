"""The tables of an ELF file as they stand in it: numbers, no name looked up, nothing refused but what is not there.

The modules beside this package answer a linker's questions, and refuse what a linker must refuse. Tools that show a
file to people (`compat`) must also show the odd and the broken. They read here: by section or by file offset instead
of through the dynamic section, record for record, with the position of each where tools print it.
"""
