package transfer

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"

	"otrpipe/commands/internal/terminal"
)

// An Item is a file, a folder or a stream to send.
type Item struct {
	described
	path    string    // of a file or folder
	stream  io.Reader // of a stream
	entries []entry   // of a folder
	files   int
	content int64 // the number of bytes in its files; for a stream, the number read so far
}

// NewItem returns an item for the file or folder at path, to be sent under name or, if that is
// empty, its own name.
func NewItem(name, file string) (*Item, error) {
	if name == "" {
		absolute, err := filepath.Abs(file) // so that "." has a name
		if err != nil {
			return nil, err
		}
		name = filepath.Base(absolute)
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	it := &Item{path: file, described: described{name: name}}
	if err := it.describe(); err != nil {
		return nil, err
	}
	return it, nil
}

// describe describes the item as it is now.
func (it *Item) describe() error {
	if it.kind == kindStream {
		return nil
	}
	info, err := os.Stat(it.path)
	if err != nil {
		return cannot(it.path, "sent", err)
	}
	it.described = described{name: it.name, modified: time.Unix(0, 0)}
	switch {
	case info.Mode().IsRegular():
		it.kind, it.size, it.content, it.files = kindFile, info.Size(), info.Size(), 1
		it.executable, it.modified = isExecutable(info.Mode()), plainTime(info.ModTime())
		f, err := os.OpenFile(it.path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // in case it is a FIFO by now
		if err != nil {
			return cannot(it.path, "sent", err)
		}
		defer f.Close()
		if it.size == 0 && hidesContent(f) {
			return cannot(it.path, "sent", errHidden)
		}
		return nil
	case info.IsDir():
		it.kind = kindFolder
		return it.scan()
	}
	return fmt.Errorf("transfer: %s is neither a file nor a folder", it.path)
}

// NewStream returns an item that reads r to its end.
func NewStream(name string, r io.Reader) (*Item, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return &Item{stream: r, files: 1, described: described{kind: kindStream, name: name, size: -1, modified: time.Unix(0, 0)}}, nil
}

func (it *Item) scan() error {
	root, err := os.OpenRoot(it.path)
	if err != nil {
		return cannot(it.path, "sent", err)
	}
	defer root.Close()
	if it.entries, err = scan(root); err != nil {
		return fmt.Errorf("transfer: %s cannot be sent: %w", it.path, &folderError{err})
	}
	it.files, it.content = 0, 0
	for _, e := range it.entries {
		if e.mode.IsRegular() {
			f, err := openEntry(root, &e)
			if err != nil { // find out now, and not when half of the folder has been sent
				return fmt.Errorf("transfer: %s cannot be sent: %w", it.path, err)
			}
			f.Close()
			it.files++
			it.content += e.size
		}
	}
	it.size, err = archiveLen(it.entries)
	return err
}

// A source is an item that is being read.
type source struct {
	io.ReadCloser
	// changes returns what happened to its files while they were read. It is called once the
	// source has been read to its end.
	changes func() []string
}

// open opens the item for reading from its beginning. It calls begin with the path of each file.
func (it *Item) open(begin func(string)) (*source, error) {
	switch it.kind {
	case kindStream:
		begin(it.name)
		return &source{io.NopCloser(it.stream), func() []string { return nil }}, nil
	case kindFile:
		begin(it.name)
		f, err := os.OpenFile(it.path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // in case it is a FIFO by now
		if err != nil {
			return nil, err
		}
		opened, err := f.Stat()
		if err != nil || !opened.Mode().IsRegular() {
			f.Close()
			return nil, errors.Join(errors.New("it is no file any more"), err)
		}
		return &source{f, func() []string {
			if what := changeOf(f, opened, it.size); what != "" {
				return []string{it.name + " " + what}
			}
			return nil
		}}, nil
	}
	root, err := os.OpenRoot(it.path)
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	var changes []string // until w is closed, only the goroutine uses it
	changed := func(e *entry, what string) { changes = append(changes, path.Join(it.name, e.path)+" "+what) }
	go func() {
		defer root.Close()
		buffered := bufio.NewWriterSize(w, dataLen)
		archive := tar.NewWriter(buffered)
		err := pack(archive, root, it.entries, func(e *entry) { begin(path.Join(it.name, e.path)) }, changed)
		if err == nil {
			err = errors.Join(archive.Close(), buffered.Flush())
		}
		w.CloseWithError(err)
	}()
	return &source{r, func() []string { return changes }}, nil
}

// changeOf returns what happened to a file while size bytes of it were read, in words that
// follow its name; "": nothing. A file that became shorter is noticed when it is read.
func changeOf(f *os.File, opened fs.FileInfo, size int64) string {
	now, err := f.Stat()
	switch {
	case err != nil:
		return ""
	case now.Size() > size:
		return fmt.Sprintf("grew, and only its first %s arrived", terminal.Size(size))
	case !now.ModTime().Equal(opened.ModTime()):
		return "was written to, and what arrived may be neither its old content nor the new"
	}
	return ""
}

// changedError returns the error for files that changed while they were sent.
func changedError(changes []string) error {
	text := changes[0]
	if n := len(changes) - 1; n > 0 {
		text += fmt.Sprintf("; %s too", terminal.Count(n, "other file"))
	}
	return fmt.Errorf("%w: %s", ErrChanged, text)
}

// CheckItems refuses items that cannot be sent in one transfer.
func CheckItems(items []*Item) error {
	if len(items) > maxItems {
		return fmt.Errorf("transfer: more than %d files; put them into a folder", maxItems)
	}
	names := map[string]bool{}
	for _, it := range items {
		if names[it.name] {
			return fmt.Errorf("transfer: two of the files have the name %q", it.name)
		}
		names[it.name] = true
	}
	return nil
}

// A sender is the sending end of a transfer.
type sender struct {
	end
	items    []*Item
	progress Progress
	total    int64
	moved    int64        // bytes of all items, those that were there already too
	current  chan string  // the latest path being read; of capacity one
	name     string       // the path being sent
	changes  []string     // what happened to files while they were sent
	answers  chan *answer // from the goroutine that reads
}

// An answer is a record from the receiver, or the reason why there is none.
type answer struct {
	record *record
	err    error
}

// Send sends items, and returns those that the receiver has completely.
func Send(link Link, items []*Item, progress Progress) ([]Done, error) {
	s := &sender{
		end: end{link: link, role: roleSender, reader: reader{r: link}}, items: items, progress: progress,
		current: make(chan string, 1), answers: make(chan *answer, 1),
	}
	left := make(chan struct{})
	defer close(left)
	go s.read(left)
	done, err := s.run()
	if err != nil {
		s.fail(err)
		s.awaitEnd()
	}
	return done, err
}

// read reads answers until there are no more or the sender has finished.
func (s *sender) read(left <-chan struct{}) {
	defer close(s.answers)
	for {
		r, err := s.reader.next()
		select {
		case s.answers <- &answer{r, err}:
		case <-left:
			return
		}
		if err != nil {
			return
		}
	}
}

// awaitEnd waits for the receiver to finish. No more records are expected.
func (s *sender) awaitEnd() {
	for range maxItems {
		if _, ok := <-s.answers; !ok {
			return
		}
	}
}

// next waits for an answer that is allowed in the given state.
func (s *sender) next() (*record, error) {
	a := <-s.answers
	return s.check(a.record, a.err)
}

func (s *sender) run() (done []Done, err error) {
	if err := s.write(&record{kind: recordHello, role: s.role}); err != nil {
		return nil, err
	}
	r, err := s.next()
	if err != nil {
		return nil, err
	}
	if err := s.checkHello(r); err != nil {
		return nil, err
	}
	var offer []described
	for _, it := range s.items {
		if err := it.describe(); err != nil { // the other end may have come long after the start
			return nil, err
		}
		offer = append(offer, it.described)
	}
	s.total = size(offer)
	if err := s.write(&record{kind: recordOffer, items: offer}); err != nil {
		return nil, err
	}
	s.state = awaitingAnswer
	if _, err := s.next(); err != nil {
		return nil, err
	}
	for _, it := range s.items {
		if err := s.send(it); err != nil {
			return done, err
		}
		done = append(done, Done{it.name, it.files, it.content})
	}
	if len(s.changes) > 0 {
		return done, changedError(s.changes)
	}
	s.state = awaitingEnd
	if err := s.link.CloseWrite(); err != nil {
		return done, err
	}
	if _, err := s.next(); err != io.EOF {
		return done, err
	}
	return done, nil
}

// send sends one item.
func (s *sender) send(it *Item) error {
	s.state = awaitingHave
	have, err := s.next()
	if err != nil {
		return err
	}
	s.state = sending
	content, digest, err := s.skip(it, have)
	if err != nil {
		return cannot(it.name, "sent", err)
	}
	defer content.Close()
	offset := int64(0)
	if digest != nil {
		offset = have.offset
	} else {
		digest = sha256.New()
	}
	if err := s.write(&record{kind: recordStart, offset: offset}); err != nil {
		return err
	}
	s.moved += offset
	if err := s.move(it, content, digest, offset); err != nil {
		return err
	}
	s.changes = append(s.changes, content.changes()...)
	s.state = awaitingStored
	if err := s.write(&record{kind: recordSum, sum: sum(digest.Sum(nil))}); err != nil {
		return err
	}
	_, err = s.next()
	return err
}

// skip opens an item at the end of the part that the receiver has, and returns the digest up to
// there. It returns nil if the receiver's part differs, and then opens the item at its
// beginning.
func (s *sender) skip(it *Item, have *record) (*source, hash.Hash, error) {
	content, err := it.open(s.began)
	if err != nil || have.offset == 0 || it.kind == kindStream || have.offset > it.size {
		return content, nil, err
	}
	digest := sha256.New()
	if _, err := io.CopyN(digest, content, have.offset); err != nil {
		content.Close()
		return nil, nil, err
	}
	if sum(digest.Sum(nil)) == have.sum {
		return content, digest, nil
	}
	content.Close()
	content, err = it.open(s.began)
	return content, nil, err
}

// began records which file is being read. It never blocks.
func (s *sender) began(name string) {
	select {
	case <-s.current:
	default:
	}
	select {
	case s.current <- name:
	default:
	}
}

// move sends the rest of an item from an offset on.
func (s *sender) move(it *Item, content io.Reader, digest hash.Hash, offset int64) error {
	rest := it.size - offset
	if it.kind == kindStream {
		it.content = 0
	} else {
		content = io.LimitReader(content, rest) // the file may have grown
	}
	left := make(chan struct{})
	defer close(left)
	chunks, spare := readAhead(content, left)
	for {
		var c chunk
		select {
		case a := <-s.answers: // FAIL
			_, err := s.check(a.record, a.err)
			return err
		case c = <-chunks:
		}
		if n := int64(len(c.data)); n > 0 {
			digest.Write(c.data)
			if err := s.write(&record{kind: recordData, data: c.data}); err != nil {
				return err
			}
			s.tell(n)
			rest -= n
			if it.kind == kindStream {
				it.content += n
			}
		}
		switch {
		case c.err == io.EOF && it.kind != kindStream && rest > 0:
			return fmt.Errorf("transfer: %s became shorter while it was sent", it.name)
		case c.err == io.EOF:
			return nil
		case c.err != nil:
			return cannot(it.name, "read", c.err)
		}
		spare <- c.data[:0]
	}
}

// A chunk is the result of one read. Its data may be returned for reuse when it has been used.
type chunk struct {
	data []byte
	err  error
}

// readAhead reads r in its own goroutine up to its end or first error, so that the next chunk is
// read while one is sent, and a slow reader does not block the sender. It stops reading once
// left is closed.
func readAhead(r io.Reader, left <-chan struct{}) (<-chan chunk, chan<- []byte) {
	chunks, spare := make(chan chunk, 2), make(chan []byte, 2)
	spare <- make([]byte, 0, dataLen)
	spare <- make([]byte, 0, dataLen)
	go func() {
		for {
			var buf []byte
			select {
			case buf = <-spare:
			case <-left:
				return
			}
			n, err := r.Read(buf[:dataLen])
			chunks <- chunk{buf[:n], err}
			if err != nil {
				return
			}
		}
	}()
	return chunks, spare
}

// tell reports the progress.
func (s *sender) tell(n int64) {
	s.moved += n
	select {
	case s.name = <-s.current:
	default:
	}
	s.progress(s.name, s.moved, s.total)
}
