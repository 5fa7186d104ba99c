package commands

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/secret"
	"otrpipe/commands/internal/terminal"
)

const (
	flagQuestion = "question"
	flagAbort    = "abort"
)

func smpCommand() *cli.Command {
	smp := []cli.Flag{&cli.StringFlag{Name: flagQuestion, Usage: "ask the peer `Q`, which the secret answers"}}
	smp = append(smp, secretFlags(flagSecret, "the secret")...)
	smp = append(smp,
		&cli.StringFlag{Name: flagTimeout, Usage: "wait for the result no longer than `D`; 0: for ever", DefaultText: strings.TrimSuffix(live.AnswerTime.String(), "0s")},
		&cli.BoolFlag{Name: flagAbort, Usage: "abort the comparison that is under way", DisableDefaultText: true})
	return &cli.Command{
		Name:  "smp",
		Usage: "compare a secret with the peer's: start, or answer",
		Description: "The socialist millionaires' protocol shows both ends whether they know the same\n" +
			"secret, and nothing else: if the secrets differ, neither end learns the other's. The\n" +
			"command waits for the result: 0 if the secrets are the same, 4 if not.\n\n" +
			"  otrpipe smp\n" +
			"  otrpipe smp -s work --question 'Where did we meet?'",
		Flags:  append(controlFlags(), cmdline.In(groupSMP, smp...)...),
		Action: runSMP,
	}
}

func runSMP(c *cli.Context) error {
	if err := noSecret(c, flagSecret); err != nil {
		return err
	}
	request := &control.SMP{Timeout: live.AnswerTime, Question: c.String(flagQuestion), Abort: c.Bool(flagAbort)}
	if c.IsSet(flagTimeout) {
		d, err := options.Duration(c.String(flagTimeout))
		if err != nil {
			return exit.Errorf(exit.Usage, "--%s: %w", flagTimeout, err)
		}
		request.Timeout, _ = time.ParseDuration(d)
	}
	if c.IsSet(flagQuestion) {
		if _, err := options.Question(request.Question); err != nil {
			return exit.Errorf(exit.Usage, "--%s: %w", flagQuestion, err)
		}
	}
	if request.Abort {
		for _, other := range []string{flagQuestion, flagSecret + "-file", flagSecret + "-fd", flagTimeout} {
			if c.IsSet(other) {
				return exit.Errorf(exit.Usage, "--%s and --%s contradict each other", flagAbort, other)
			}
		}
	}
	session, err := theSession(c)
	if err != nil {
		return err
	}
	defer session.Close()
	if !request.Abort {
		if request.Secret, err = smpSecret(c, session); err != nil {
			return err
		}
		defer clear(request.Secret)
		if session.Asked != nil {
			request.Run = session.Run
		}
	}
	p, peer := ioOf(c), sessionPeer(session)
	watched := !request.Abort && terminal.Is(p.Messages.File())
	if watched && session.Asked == nil {
		p.Note("waiting for %s's answer (Ctrl-C gives up)", peer)
	}
	_, err = session.Do(c.Context, control.Request{SMP: request})
	if watched && err == nil {
		p.Note("%s", live.SMPSucceeded(peer))
	}
	return err
}

// sessionPeer returns the name by which messages call a session's peer.
func sessionPeer(session *control.Client) string {
	if session.Status != nil && session.Status.Contact != nil {
		return terminal.Visible(*session.Status.Contact)
	}
	return "the peer"
}

// smpSecret reads the secret from the source that the flags name, or else from the terminal,
// where it shows the peer's question if there is one.
func smpSecret(c *cli.Context, session *control.Client) ([]byte, error) {
	peer, asks := sessionPeer(session), "The peer asks"
	if session.Status != nil && session.Status.Contact != nil {
		asks = peer + " asks"
	}
	prompt := "Secret to compare with " + peer + "'s"
	switch {
	case session.Asked != nil && *session.Asked != "":
		prompt = fmt.Sprintf("%s: %s\nSecret that answers it", asks, terminal.Visible(*session.Asked))
	case session.Asked == nil && c.IsSet(flagQuestion):
		prompt = "Secret that answers your question"
	}
	value, ok, err := secretSource(c, flagSecret).Read()
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return secret.Ask(prompt, "--secret-file or --secret-fd")
	case len(value) == 0:
		return nil, exit.Errorf(exit.KeyFile, "the secret is empty").
			WithHint("look into the file or descriptor that it is read from")
	}
	return value, nil
}
