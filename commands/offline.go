package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/offline"
	"otrpipe/commands/internal/options"
)

// offlineConfig reads the flags with which encrypt-stream and decrypt-stream work while the
// other end is away. The caller closes it.
func offlineConfig(c *cli.Context) (*offline.Config, error) {
	given, err := options.Read(c)
	if err != nil {
		return nil, err
	}
	if err := options.CheckOffline(c); err != nil {
		return nil, err
	}
	o, err := given.Options(nil)
	if err != nil {
		return nil, err
	}
	config, err := prekeysConfig(c)
	if err != nil {
		return nil, err
	}
	config.Apply(o)
	if c.IsSet(flagEvents) {
		file, err := events.Open(c.String(flagEvents))
		if err != nil {
			config.Close()
			return nil, err
		}
		config.Log = events.NewLog(file, flagOffline, ioOf(c).Report)
	}
	return config, nil
}

// prekeysConfig reads the flags of the prekeys commands. The caller closes it.
func prekeysConfig(c *cli.Context) (*offline.Config, error) {
	id, err := identityOf(c).OpenForOffline()
	if err != nil {
		return nil, err
	}
	return &offline.Config{IO: ioOf(c), Home: openHome(c), Identity: id}, nil
}
