package otr_test

import (
	"crypto/rand"
	"fmt"
	"log"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
)

// newConversation returns one side of a conversation in version 4, with new keys.
func newConversation() *otr.Conversation {
	key, err := keys.GenerateEd448(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	forging, err := keys.GenerateForgingKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	c, err := otr.New(otr.Config{
		Ed448:   key,
		Forging: forging,
		Policy:  otr.AllowV4 | otr.RequireEncryption,
		Rand:    rand.Reader,
		Now:     time.Now,
	})
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// A Conversation does no input and output. The caller transports its lines, here in a slice.
func ExampleConversation() {
	alice, bob := newConversation(), newConversation()

	toBob := alice.Query()
	var toAlice [][]byte
	deliver := func(c *otr.Conversation, name string, lines [][]byte) (answers [][]byte) {
		for _, line := range lines {
			got, err := c.Receive(line)
			if err != nil {
				log.Fatal(err)
			}
			for _, event := range got.Events {
				if _, ok := event.(otr.Secure); ok {
					fmt.Println(name, "talks in private")
				}
			}
			if len(got.Text) > 0 {
				fmt.Printf("%s reads: %s\n", name, got.Text)
			}
			answers = append(answers, got.Send...)
		}
		return answers
	}
	exchange := func() {
		for len(toBob) > 0 || len(toAlice) > 0 {
			toAlice = append(toAlice, deliver(bob, "bob", toBob)...)
			toBob = deliver(alice, "alice", toAlice)
			toAlice = nil
		}
	}
	exchange()

	var err error
	if toBob, err = alice.Send([]byte("hello, bob")); err != nil {
		log.Fatal(err)
	}
	exchange()
	// Output:
	// bob talks in private
	// alice talks in private
	// bob reads: hello, bob
}
