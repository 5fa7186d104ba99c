package control

import (
	"fmt"
	"os"
	"path/filepath"
)

// Dir returns the folder in which the user's sessions reserve their names, and creates it if
// necessary. It is inside the user's folder for application data, which others cannot write to.
func Dir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("control: %w", err)
	}
	dir := filepath.Join(cache, "otrpipe-sessions")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("control: %w", err)
	}
	return dir, nil
}
