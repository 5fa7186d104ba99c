package control

import (
	"fmt"
	"os"
	"path/filepath"
)

// Dir returns the folder where the user's sessions reserve their names and makes it if need
// be. It is in the user's own folder for programs' data, which others cannot write to.
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
