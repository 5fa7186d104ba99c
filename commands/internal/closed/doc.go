// Package closed handles standard streams that the caller had closed when it started the
// program. It is a package of its own because of its code in C: the linker calls the C
// compiler for each binary that contains it, which doubles the time of linking a test.
package closed
