package exchange

import (
	"errors"

	"otrpipe/commands/internal/descriptor"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/transfer"
)

// AsFlag sets the name under which a single item is sent.
const AsFlag = "as"

// NewSending makes the transfer of an end that sends files, folders, or standard input, which is
// "-". name is the name under which a single item is sent; "": its own. All items are checked
// before anything is sent.
func NewSending(p *terminal.IO, name string, files []string) (*Transfer, error) {
	var items []*transfer.Item
	for _, file := range files {
		it, err := newItem(p, name, file)
		if err != nil {
			return nil, err
		}
		items = append(items, it)
	}
	if err := transfer.CheckItems(items); err != nil {
		return nil, exit.Failed(err)
	}
	return &Transfer{
		IO: p, verb: "sent", other: "receiver",
		run: func(link transfer.Link, progress transfer.Progress) ([]transfer.Done, error) {
			return transfer.Send(link, items, progress)
		},
	}, nil
}

// newItem returns the item that an argument names.
func newItem(p *terminal.IO, name, file string) (*transfer.Item, error) {
	var it *transfer.Item
	var err error
	switch {
	case file != "-":
		it, err = transfer.NewItem(name, file)
	case name == "":
		return nil, exit.Errorf(exit.Usage, "standard input needs a name: --%s NAME", AsFlag)
	default:
		it, err = transfer.NewStream(name, descriptor.Stream{File: p.In})
	}
	switch {
	case errors.Is(err, transfer.ErrName) && !errors.Is(err, transfer.ErrFolder):
		return nil, exit.As(exit.Failed(err)).WithHint("--%s NAME sends it under another name", AsFlag)
	case err != nil:
		return nil, exit.Failed(err)
	}
	return it, nil
}
