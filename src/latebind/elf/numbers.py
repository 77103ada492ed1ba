"""Numbers of the ELF specification that searching needs; the modules of their concepts have them from here.

Those modules define dataclasses, and importing them takes longer than a search.
"""

ELFCLASS32, ELFCLASS64 = 1, 2
ELFDATA2LSB, ELFDATA2MSB = 1, 2
ET_REL, ET_EXEC, ET_DYN, ET_CORE = 1, 2, 3, 4
DF_1_NODEFLIB = 0x800
