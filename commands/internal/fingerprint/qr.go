package fingerprint

import (
	"bytes"
	"fmt"

	"github.com/mdp/qrterminal/v3"

	"otrpipe/otr/keys"
)

// qrPrefix begins the text in a fingerprint's QR code, which is
//
//	otr-fingerprint:VERSION:DIGITS
//
// VERSION is the version of OTR that the key is for, 3 (which includes 2) or 4, and DIGITS are
// the 40 or 112 hexadecimal digits of the fingerprint in lower case, without blanks. It contains
// nothing else: one key, and no name, because the code could not vouch for a name. "contacts
// add" takes the text as a fingerprint.
const qrPrefix = "otr-fingerprint:"

func qrText(fp keys.Fingerprint) string {
	return fmt.Sprintf("%s%d:%s", qrPrefix, fp.OTR(), fp.Hex())
}

// QR draws the QR code of a fingerprint. It uses half blocks, which show two rows of dots per
// line of text, or one line per row for a terminal that has no blocks. Without colour, the
// drawing suits light text on a dark background; with colour, it sets both.
func QR(fp keys.Fingerprint, colour, blocks bool) []byte {
	var drawn bytes.Buffer
	config := qrterminal.Config{
		Level:      qrterminal.M,
		Writer:     &drawn,
		HalfBlocks: blocks,
		QuietZone:  qrterminal.QUIET_ZONE,
	}
	if !blocks {
		config.BlackChar, config.WhiteChar = "  ", "##"
		if colour {
			config.BlackChar, config.WhiteChar = qrterminal.BLACK, qrterminal.WHITE
		}
	}
	qrterminal.GenerateWithConfig(qrText(fp), config)
	if !colour || !blocks {
		return drawn.Bytes()
	}
	const whiteOnBlack, normal = "\x1b[97;40m", "\x1b[0m"
	var b []byte
	for line := range bytes.Lines(drawn.Bytes()) {
		b = append(b, whiteOnBlack...)
		b = append(b, bytes.TrimSuffix(line, []byte("\n"))...)
		b = append(b, normal+"\n"...)
	}
	return b
}
