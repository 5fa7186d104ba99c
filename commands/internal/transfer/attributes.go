package transfer

import (
	"encoding/json"
	"os"
	"time"
)

// Some file systems, such as those of USB sticks, and all of Windows have no bit for executable
// files, or hold times less precisely. The archive of what is here then differs from the sender's,
// and the folder could not be continued. So the attributes of such files are noted in a file of
// the hidden folder, one JSON object per line. If that file is wrong, the archives differ, and the
// folder is sent again.

// attributes is a line of that file.
type attributes struct {
	Path       string `json:"path"`
	Executable bool   `json:"executable"`
	Modified   int64  `json:"modified"` // in seconds since 1970
}

// note notes the attributes of a file that is about to be placed.
func (p *folderPart) note(e *entry) error {
	line, err := json.Marshal(attributes{e.path, e.executable, e.modified.Unix()})
	if err != nil {
		return err
	}
	f, err := p.dir.OpenFile(attributesFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// restore restores the noted attributes in the list of what is here. It stops at a line that was
// cut short.
func (p *folderPart) restore() {
	f, err := p.dir.Open(attributesFile)
	if err != nil {
		return
	}
	defer f.Close()
	noted := map[string]attributes{}
	for lines := json.NewDecoder(f); len(noted) < maxEntries; {
		var a attributes
		if lines.Decode(&a) != nil {
			break
		}
		noted[a.Path] = a
	}
	for i := range p.entries {
		e := &p.entries[i]
		if a, ok := noted[e.path]; ok && e.mode.IsRegular() {
			e.executable, e.modified = a.Executable, plainTime(time.Unix(a.Modified, 0))
		}
	}
}
