package exchange

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"otrpipe/commands/internal/code"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/terminal/editor"
)

// askCode prompts for a code at the terminal until one is entered. The code is shown while it is
// typed, because it works for one transfer only.
func askCode() ([]byte, error) {
	in, out, err := terminal.Open()
	if err != nil {
		return nil, exit.Errorf(exit.KeyFile, "there is no terminal to ask for the code on").WithHint("give it with --code-file or --code-fd")
	}
	defer in.Close()
	defer out.Close()
	console, err := editor.Open(in, out)
	if err != nil {
		return nil, exit.Errorf(exit.KeyFile, "the terminal cannot be asked for the code: %w", err)
	}
	defer console.Close()
	var ended atomic.Int32 // the signal that ended the prompt; 0: none
	signals, asked := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	defer close(asked)
	go func() {
		select {
		case s := <-signals:
			ended.Store(int32(s.(syscall.Signal)))
			console.Close()
		case <-asked:
		}
	}()
	console.SetPrompt("Code, three words: ")
	console.Question()
	console.Complete(code.Complete)
	for {
		line, err := console.ReadLine()
		switch {
		case ended.Load() != 0:
			return nil, exit.Silently(128 + int(ended.Load()))
		case errors.Is(err, editor.ErrInterrupted):
			return nil, exit.Silently(128 + int(syscall.SIGINT))
		case errors.Is(err, io.EOF), err == nil && strings.TrimSpace(line) == "":
			return nil, exit.Errorf(exit.KeyFile, "no code was entered")
		case err != nil:
			return nil, exit.Errorf(exit.KeyFile, "the code cannot be read: %w", exit.Plain(err))
		}
		typed := []byte(line)
		parsed, err := code.Parse(typed)
		clear(typed)
		if err == nil {
			return parsed, nil
		}
		console.Message("", fmt.Sprintf("%v; the Tab key completes a word", exit.Plain(err)))
	}
}
