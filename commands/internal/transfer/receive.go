package transfer

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"

	"otrpipe/commands/internal/terminal"
)

// maxDrain is how many bytes to read from a sender after telling it that we stop. It is more
// than can be in transit from a sender that stops.
const maxDrain = 256 << 20

// A ReceiveConfig holds a receiver's limits and callbacks.
type ReceiveConfig struct {
	Dir *os.Root // the target folder
	// MaxBytes is the maximum number of bytes of all items together; 0: as many as there is room
	// for.
	MaxBytes int64
	// NoDotFiles, unless empty, is the reason to refuse names that begin with a dot.
	NoDotFiles string
	Progress   Progress
	// KeptAside is called when the existing part of an item has been renamed because it does not
	// match the item.
	KeptAside func(name, aside string)
	// Kept is called when an item is incomplete, with the number of its bytes that are kept for
	// the next attempt.
	Kept func(name string, bytes int64)
}

// A receiver is the receiving end of a transfer.
type receiver struct {
	end
	ReceiveConfig
	items []described
	total int64
	moved int64  // bytes of all items, including those that were here before
	name  string // the path that is arriving

	free   func(*os.Root) (bytes int64, known bool)
	create func(dir *os.Root, name string, mode fs.FileMode) (partFile, error)
	sync   func(*os.File) error // flushes a file or folder to disk
}

// A partFile is an incomplete file.
type partFile interface {
	io.WriteCloser
	Sync() error
	Stat() (fs.FileInfo, error)
}

// Receive receives the items that the other end sends, and returns those that are complete and
// in place. It keeps the part of any other item that has begun, for the next attempt to
// continue.
func Receive(link Link, cfg ReceiveConfig) ([]Done, error) {
	return newReceiver(link, cfg).receive()
}

func newReceiver(link Link, cfg ReceiveConfig) *receiver {
	return &receiver{
		end: end{link: link, role: roleReceiver, reader: reader{r: link}}, ReceiveConfig: cfg,
		free: freeBytes, create: createPart, sync: (*os.File).Sync,
	}
}

func (r *receiver) receive() ([]Done, error) {
	done, err := r.run()
	if err != nil {
		r.fail(err)
		_, _ = io.CopyN(io.Discard, r.link, maxDrain) // so that the sender learns of it
	}
	return done, err
}

// next waits for a record that is allowed in the given state.
func (r *receiver) next() (*record, error) { return r.check(r.reader.next()) }

func (r *receiver) run() (done []Done, err error) {
	if err := r.write(&record{kind: recordHello, role: r.role}); err != nil {
		return nil, err
	}
	hello, err := r.next()
	if err != nil {
		return nil, err
	}
	if err := r.checkHello(hello); err != nil {
		return nil, err
	}
	r.state = awaitingOffer
	offer, err := r.next()
	if err != nil {
		return nil, err
	}
	r.items, r.total = offer.items, size(offer.items)
	if err := r.checkOffer(); err != nil {
		return nil, err
	}
	if err := r.write(&record{kind: recordAccept}); err != nil {
		return nil, err
	}
	for i := range r.items {
		one, err := r.item(&r.items[i])
		if err != nil {
			return done, err
		}
		done = append(done, one)
		if err := r.write(&record{kind: recordStored}); err != nil {
			return done, err
		}
	}
	r.state = awaitingEnd
	if _, err := r.next(); err != io.EOF {
		return done, err
	}
	return done, r.link.CloseWrite()
}

// checkOffer refuses a bad offer before any of its items is sent.
func (r *receiver) checkOffer() error {
	names := map[string]bool{}
	needed, counted := int64(0), int64(0)
	for _, item := range r.items {
		if err := checkName(item.name); err != nil {
			return err
		}
		if item.name[0] == '.' && r.NoDotFiles != "" {
			return fmt.Errorf("%w: %s begins with a dot, and %s", ErrName, item.name, r.NoDotFiles)
		}
		if names[item.name] {
			return badName("%q is there twice", item.name)
		}
		names[item.name] = true
		if _, err := r.Dir.Lstat(item.name); err == nil {
			return fmt.Errorf("%w: %s exists already", ErrRefused, item.name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return cannot(item.name, "written", err)
		}
		if item.size > 0 {
			if counted += item.size; counted < 0 {
				return fmt.Errorf("%w: no disk has enough room for that", ErrRefused)
			}
			needed += item.size - min(item.size, here(r.Dir, &item))
		}
	}
	if r.MaxBytes > 0 && counted > r.MaxBytes {
		return tooMuch(r.MaxBytes)
	}
	if free, known := r.free(r.Dir); known && needed > free {
		// How much is missing, because the two sizes may look the same once they are rounded.
		return fmt.Errorf("%w: there is not enough room: it needs %s, which is %s more than is free", ErrRefused,
			terminal.Size(needed), terminal.Size(needed-free))
	}
	return nil
}

func tooMuch(limit int64) error {
	return fmt.Errorf("%w: it is more than the receiver's limit of %s", ErrRefused, terminal.Size(limit))
}

// item receives one item.
func (r *receiver) item(item *described) (Done, error) {
	r.name = item.name
	if item.kind == kindFolder {
		return r.folder(item)
	}
	return r.file(item)
}

// begin agrees with the sender where to begin an item, of which offset bytes with the given
// digest are here. If the sender's bytes differ, afresh makes room for the whole item.
func (r *receiver) begin(item *described, digest hash.Hash, offset int64, afresh func() error) (*content, error) {
	have := &record{kind: recordHave, offset: offset}
	if offset > 0 {
		have.sum = sum(digest.Sum(nil))
	}
	if err := r.write(have); err != nil {
		return nil, err
	}
	r.state = awaitingStart
	start, err := r.next()
	if err != nil {
		return nil, err
	}
	switch start.offset {
	case offset:
	case 0:
		digest.Reset()
		offset = 0
		if err := afresh(); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%w: START at %d instead of %d", ErrRecord, start.offset, offset)
	}
	r.state = awaitingData
	r.moved += offset
	return &content{receiver: r, item: item, digest: digest, got: offset}, nil
}

// A content reads the remaining bytes of an item, up to its SUM.
type content struct {
	*receiver
	item   *described
	digest hash.Hash
	got    int64  // bytes of the item, including those that were here before
	rest   []byte // of the last DATA
	sum    *sum   // once it has arrived
}

func (c *content) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.sum != nil {
			return 0, io.EOF
		}
		rec, err := c.next()
		if err != nil {
			return 0, err
		}
		if rec.kind == recordSum {
			c.sum = &rec.sum
			if c.item.size >= 0 && c.got != c.item.size {
				return 0, fmt.Errorf("%w: %s ended after %d of %d bytes", ErrRecord, c.item.name, c.got, c.item.size)
			}
			continue
		}
		n := int64(len(rec.data))
		c.got += n
		c.moved += n
		if c.item.size >= 0 && c.got > c.item.size {
			return 0, fmt.Errorf("%w: %s is longer than was said", ErrRecord, c.item.name)
		}
		if c.MaxBytes > 0 && c.moved > c.MaxBytes {
			return 0, tooMuch(c.MaxBytes)
		}
		c.digest.Write(rec.data)
		c.rest = rec.data
		c.Progress(c.receiver.name, c.moved, c.total)
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// verify checks the checksum of the whole item.
func (c *content) verify() error {
	if sum(c.digest.Sum(nil)) != *c.sum {
		return fmt.Errorf("%w: %s", ErrChecksum, c.item.name)
	}
	return nil
}

// file receives an item that is a file or a stream.
func (r *receiver) file(item *described) (Done, error) {
	part := partName(item.name)
	mode := fs.FileMode(0o666)
	if item.executable {
		mode = 0o777
	}
	digest := sha256.New()
	p, err := openFilePart(r.Dir, part, item, digest)
	if err != nil {
		return Done{}, cannot(item.name, "continued", err)
	}
	defer func() {
		if kept := p.close(r.Dir, part); kept > 0 {
			r.Kept(item.name, kept)
		}
	}()
	afresh := func() error {
		if err := r.keepAside(item.name, part, p.file != nil); err != nil {
			return err
		}
		f, err := r.create(r.Dir, part, mode)
		if err != nil {
			return cannot(item.name, "written", err)
		}
		p.replace(f)
		return nil
	}
	if p.file == nil {
		if err := afresh(); err != nil {
			return Done{}, err
		}
	}
	c, err := r.begin(item, digest, p.have, afresh)
	if err != nil {
		return Done{}, err
	}
	if _, err := io.Copy(p.file, c); err != nil {
		return Done{}, r.written(item.name, err)
	}
	if err := c.verify(); err != nil {
		if p.isAt(r.Dir, part) {
			_ = r.Dir.Remove(part) // it could never be completed
		}
		return Done{}, err
	}
	if !p.isAt(r.Dir, part) {
		return Done{}, cannot(item.name, "written", errTakenAway)
	}
	if item.kind == kindFile {
		p.setExecutable(r.Dir, part, item.executable)
		if err := r.Dir.Chtimes(part, item.modified, item.modified); err != nil {
			return Done{}, cannot(item.name, "written", err)
		}
	}
	if err := p.file.Sync(); err != nil { // its time too
		return Done{}, cannot(item.name, "written", err)
	}
	if err := placeFile(r.Dir, part, item.name); err != nil {
		return Done{}, placed(item.name, err)
	}
	if err := r.syncFolder(r.Dir, "."); err != nil {
		return Done{}, cannot(item.name, "written", err)
	}
	return Done{item.name, 1, c.got}, nil
}

// written returns the error of copying from the sender to a file: the sender's or the file's.
func (r *receiver) written(name string, err error) error {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	if errors.As(err, &pathErr) || errors.As(err, &linkErr) {
		return cannot(name, "written", err)
	}
	return err
}

func placed(name string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s exists already", ErrRefused, name)
	}
	return cannot(name, "written", err)
}

// folder receives a folder.
func (r *receiver) folder(item *described) (Done, error) {
	part := partName(item.name)
	p, err := openFolderPart(r.Dir, part)
	if err != nil {
		return Done{}, cannot(item.name, "continued", err)
	}
	defer func() {
		if kept := p.close(r.Dir, part); kept > 0 {
			r.Kept(item.name, kept)
		}
	}()
	digest := sha256.New()
	var have counter
	if p != nil {
		if err := pack(tar.NewWriter(io.MultiWriter(digest, &have)), p.tree, p.entries, func(*entry) {}, func(*entry, string) {}); err != nil {
			return Done{}, cannot(item.name, "continued", err)
		}
	}
	afresh := func() error {
		err := r.clearFolder(p, item.name, part)
		p = nil
		if err != nil {
			return err
		}
		if p, err = createFolderPart(r.Dir, part); err != nil {
			return cannot(item.name, "written", err)
		}
		return nil
	}
	if p == nil {
		if err := afresh(); err != nil {
			return Done{}, err
		}
	}
	c, err := r.begin(item, digest, int64(have), afresh)
	if err != nil {
		return Done{}, err
	}
	done, err := r.unpack(item, p, c)
	if err != nil {
		return Done{}, r.written(item.name, err)
	}
	if err := c.verify(); err != nil {
		if p.isAt(r.Dir, part) {
			_ = r.Dir.RemoveAll(part) // it could never be completed
		}
		return Done{}, err
	}
	if err := r.syncTree(p.tree); err != nil {
		return Done{}, cannot(item.name, "written", err)
	}
	if err := p.placeAll(r.Dir, part, item.name); err != nil {
		return Done{}, placed(item.name, err)
	}
	if err := r.syncFolder(r.Dir, "."); err != nil {
		return Done{}, cannot(item.name, "written", err)
	}
	return done, nil
}

// unpack unpacks the rest of a folder's archive into p. The result includes what was here
// before.
func (r *receiver) unpack(item *described, p *folderPart, c *content) (Done, error) {
	done := Done{Name: item.name}
	for _, e := range p.entries {
		if e.mode.IsRegular() {
			done.Files++
			done.Bytes += e.size
		}
	}
	u := newUnpacker(p.tree, p.entries)
	u.begin = func(name string) { r.name = path.Join(item.name, name) }
	u.create = func(executable bool) (partFile, error) {
		mode := fs.FileMode(0o666)
		if executable {
			mode = 0o777
		}
		done.Files++
		if err := p.dir.Remove(currentFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return r.create(p.dir, currentFile, mode)
	}
	u.place = func(e *entry) error {
		done.Bytes += e.size
		return p.place(e)
	}
	err := u.unpack(c)
	return done, err
}

// clearFolder removes or renames what is in the way of a new folder: p, unless it is nil.
func (r *receiver) clearFolder(p *folderPart, name, part string) (err error) {
	if p == nil {
		return r.keepAside(name, part, false)
	}
	_, empty := p.kept()
	ours := p.isAt(r.Dir, part)
	p.leave(func() {
		switch {
		case !ours:
			err = cannot(name, "continued", errTakenAway)
		case !empty:
			err = r.keepAside(name, part, true)
		default:
			if err = r.Dir.RemoveAll(part); err != nil {
				err = cannot(name, "written", err)
			}
		}
	})
	return err
}

// keepAside renames what is in the way of a new part. It does not rename what another receiver is
// writing; if locked is set, this receiver has locked it already.
func (r *receiver) keepAside(name, part string, locked bool) error {
	if !taken(r.Dir, part) {
		return nil
	}
	if !locked {
		f, err := lockOther(r.Dir, part)
		if err != nil {
			return cannot(name, "continued", err)
		}
		defer f.Close()
	}
	for n := 1; ; n++ {
		aside := asideName(name, n)
		_, err := r.Dir.Lstat(aside)
		if err == nil {
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = r.Dir.Rename(part, aside)
		}
		if err != nil {
			return cannot(part, "kept aside", err)
		}
		r.KeptAside(name, aside)
		return nil
	}
}
