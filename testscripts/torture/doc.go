// Package torture tests what becomes of the program when the machine around it fails: programs
// are killed, wires lose and change what they carry, disks are full, descriptors and memory run
// out, clocks jump, and sessions go on for a long time. All tests run the real program, except
// for the clocks, and only on Linux.
//
// An ordinary test run spends a few seconds on each. scripts/torture runs them for longer:
//
//	scripts/torture 1h
package torture
