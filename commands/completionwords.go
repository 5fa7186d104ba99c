package commands

import (
	"otrpipe/commands/internal/complete"
	"otrpipe/commands/internal/complete/names"
	"otrpipe/commands/internal/halves"
	"otrpipe/keyfile"
	"otrpipe/otr/wire"
)

// atHome offers words from a list of the home that the command line names.
func atHome(list func(*keyfile.Home) []complete.Word) complete.Completer {
	return complete.Listed(func(t *complete.Typed) []complete.Word { return list(typedHome(t)) })
}

func typedHome(t *complete.Typed) *keyfile.Home {
	home := openHome(t.Context)
	if folder := t.Values[flagHome]; folder != "" {
		home = names.Home(folder)
	}
	home.Warn = nil
	return home
}

// contactsFingerprints lists the fingerprints of the contact that the first argument names, or
// of all contacts.
func contactsFingerprints(t *complete.Typed) []complete.Word {
	contact := ""
	if len(t.Arguments) > 0 {
		contact = t.Arguments[0]
	}
	return names.Fingerprints(typedHome(t), contact)
}

// sessionsForCommand lists the live sessions that a command can use: for a half, those that wait
// for one; for a control command, all. Any other end needs a new name, so there is nothing to
// list.
func sessionsForCommand(t *complete.Typed) []complete.Word {
	switch name := t.Command.Name; {
	case name == halves.Encrypt || name == halves.Decrypt:
		return names.WaitingFor(typedHome(t), name)
	case t.Command.Category == groupCommandsLive:
		return names.Sessions(typedHome(t))
	}
	return nil
}

// versionsForCommand lists the usual values of --otr. A fingerprint belongs to a single version.
func versionsForCommand(t *complete.Typed) complete.Completion {
	if len(t.Path) > 0 && t.Path[0] == "fingerprint" {
		return complete.These(digits(wire.MakeVersions(3), wire.MakeVersions(4))...)(t)
	}
	return complete.These(digits(
		wire.MakeVersions(4), wire.MakeVersions(3, 4), wire.MakeVersions(3),
		wire.MakeVersions(2, 3), wire.MakeVersions(2), wire.MakeVersions(2, 3, 4),
	)...)(t)
}

func digits(sets ...wire.Versions) (all []string) {
	for _, set := range sets {
		all = append(all, set.Digits())
	}
	return all
}

// modesForCommand lists the modes of a stream; chat has only one.
func modesForCommand(t *complete.Typed) complete.Completion {
	if t.Command.Name == commandChat {
		return complete.These(modeLines)(t)
	}
	return complete.These(modeStream, modeLines)(t)
}
