package halves

import "os"

// fileID would say which file f is. There are no halves on Windows that need it.
func fileID(*os.File) string { return "" }
