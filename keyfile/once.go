package keyfile

import "sync"

// onceEach remembers texts, so that each is shown only once.
type onceEach struct {
	mu   sync.Mutex
	said map[string]bool
}

func (o *onceEach) first(text string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.said[text] {
		return false
	}
	if o.said == nil {
		o.said = make(map[string]bool)
	}
	o.said[text] = true
	return true
}
