// Package atstart knows which standard streams the caller had closed when it started the
// program. The Go runtime opens /dev/null in their place and leaves no trace of it, so this needs
// code in C that runs before the runtime. It is a package of its own, which only the programs
// import: the linker calls the C compiler for each binary that contains it, which doubles the time
// of linking a test.
package atstart
