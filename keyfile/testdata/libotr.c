/* What the real libotr makes of key files, for libotr_test.go. Every answer is
 * a line of fields in hexadecimal digits, so that any byte can be in a name. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libotr/context.h>
#include <libotr/instag.h>
#include <libotr/privkey.h>
#include <libotr/proto.h>
#include <libotr/userstate.h>

static OtrlUserState us;

static void check(gcry_error_t err, const char *what) {
	if (err) {
		fprintf(stderr, "%s: %s\n", what, gcry_strerror(err));
		exit(1);
	}
}

static void hex(const void *data, size_t len, char end) {
	for (size_t i = 0; i < len; i++)
		printf("%02x", ((const unsigned char *)data)[i]);
	putchar(end);
}

/* Adds a key for an account to a file, which need not exist. */
static void generate(char **arg) {
	if (access(arg[0], F_OK) == 0)
		check(otrl_privkey_read(us, arg[0]), arg[0]);
	check(otrl_privkey_generate(us, arg[0], arg[1], arg[2]), "generate");
}

/* Prints account, protocol, fingerprint and a signature of the bytes 0 to 15. */
static void keys(char **arg) {
	check(otrl_privkey_read(us, arg[0]), arg[0]);
	for (OtrlPrivKey *key = us->privkey_root; key; key = key->next) {
		unsigned char fingerprint[20], data[16], *signature;
		size_t length;
		for (int i = 0; i < 16; i++)
			data[i] = i;
		if (!otrl_privkey_fingerprint_raw(us, fingerprint, key->accountname, key->protocol))
			check(gcry_error(GPG_ERR_NO_SECKEY), key->accountname);
		check(otrl_privkey_sign(&signature, &length, key, data, sizeof data), "sign");
		hex(key->accountname, strlen(key->accountname), ' ');
		hex(key->protocol, strlen(key->protocol), ' ');
		hex(fingerprint, sizeof fingerprint, ' ');
		hex(signature, length, '\n');
		free(signature);
	}
}

/* Prints username, account, protocol, fingerprint, trust, and whether that
 * counts as trusted; then writes all of it to another file. */
static void fingerprints(char **arg) {
	check(otrl_privkey_read_fingerprints(us, arg[0], NULL, NULL), arg[0]);
	for (ConnContext *context = us->context_root; context; context = context->next) {
		for (Fingerprint *one = context->fingerprint_root.next; one; one = one->next) {
			const char *trust = one->trust ? one->trust : "";
			hex(context->username, strlen(context->username), ' ');
			hex(context->accountname, strlen(context->accountname), ' ');
			hex(context->protocol, strlen(context->protocol), ' ');
			hex(one->fingerprint, 20, ' ');
			hex(trust, strlen(trust), ' ');
			printf("%02x\n", otrl_context_is_fingerprint_trusted(one) ? 1 : 0);
		}
	}
	check(otrl_privkey_write_fingerprints(us, arg[1]), arg[1]);
}

/* Adds an instance tag for an account to a file, which need not exist. */
static void generate_tag(char **arg) {
	if (access(arg[0], F_OK) == 0)
		check(otrl_instag_read(us, arg[0]), arg[0]);
	check(otrl_instag_generate(us, arg[0], arg[1], arg[2]), "generate");
}

/* Prints account, protocol and instance tag. */
static void tags(char **arg) {
	check(otrl_instag_read(us, arg[0]), arg[0]);
	for (OtrlInsTag *tag = us->instag_root; tag; tag = tag->next) {
		hex(tag->accountname, strlen(tag->accountname), ' ');
		hex(tag->protocol, strlen(tag->protocol), ' ');
		printf("%08x\n", tag->instag);
	}
}

int main(int argc, char **argv) {
	static const struct {
		const char *name;
		int arguments;
		void (*run)(char **);
	} commands[] = {
		{"generate", 3, generate},
		{"keys", 1, keys},
		{"fingerprints", 2, fingerprints},
		{"generate-tag", 3, generate_tag},
		{"tags", 1, tags},
	};
	gcry_control(GCRYCTL_ENABLE_QUICK_RANDOM, 0); /* the keys are for tests */
	OTRL_INIT;
	us = otrl_userstate_create();
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (argc >= 2 && strcmp(argv[1], commands[i].name) == 0 && argc == 2 + commands[i].arguments) {
			commands[i].run(argv + 2);
			otrl_userstate_free(us);
			return 0;
		}
	}
	fprintf(stderr, "usage: libotr COMMAND ARGUMENTS\n");
	return 2;
}
