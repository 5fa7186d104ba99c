package secret

// overwriteInitial does nothing: Windows removes a variable from the memory that it handed
// over when it is unset.
func overwriteInitial(string) {}
