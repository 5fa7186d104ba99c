package secret

// overwriteInitial does nothing. Windows removes a variable from the process's environment
// memory when it is unset.
func overwriteInitial(string) {}
