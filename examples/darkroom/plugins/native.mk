# What the Makefiles of the native plugins share. Each says LIBRARY, SOURCE, LINKS, HEADERS and how to compile; the new
# library takes the old one's place in one step, so a host that watches never sees half of it.
CONTRACT := ../../darkroom_contracts.py
CFLAGS   := -std=c99 -O2 -g -Wall -Wextra -fPIC -fvisibility=hidden
CXXFLAGS := -std=c++17 -O2 -g -Wall -Wextra -fPIC -fvisibility=hidden
RUSTC    ?= rustc

%.so: %.c $(HEADERS)
	$(CC) $(CFLAGS) $(FLAGS) -shared -o $@.new $< $(LINKS)
	mv $@.new $@

%.so: %.cpp $(HEADERS)
	$(CXX) $(CXXFLAGS) $(FLAGS) -shared -o $@.new $< $(LINKS)
	mv $@.new $@

%.so: %.rs $(HEADERS)
	$(RUSTC) --edition 2021 --crate-type cdylib -O -g -o $@.new $<
	mv $@.new $@
