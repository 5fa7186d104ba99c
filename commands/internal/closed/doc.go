// Package closed handles standard streams that the caller had closed when it started the
// program.
package closed
