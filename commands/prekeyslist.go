package commands

import "github.com/urfave/cli/v2"

func prekeysListCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list unused prekeys and kept sessions",
		Description: "Expired ones are deleted first.\n\n" +
			"  otrpipe prekeys list\n" +
			"  otrpipe prekeys list --json",
		Flags: append(homeIdentityFlags(), jsonFlag()),
		Action: func(c *cli.Context) error {
			if err := noArguments(c, ""); err != nil {
				return err
			}
			config, err := prekeysConfig(c)
			if err != nil {
				return err
			}
			defer config.Close()
			list, err := config.List()
			if err != nil {
				return err
			}
			return answer(c, list)
		},
	}
}
