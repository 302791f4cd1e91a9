package bus

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"slotmesh/slots"
)

const (
	// keyBytes is the length of a secret after LoadSecret.
	keyBytes = 32
	// minPassphrase is the shortest passphrase accepted, in bytes. Whoever
	// records traffic can try passphrases at leisure, so a short one is no secret.
	minPassphrase = 16
	// maxKeys bounds a secret file and a hello. Rotation needs two.
	maxKeys = 8
	// maxSecretFile is the largest cluster-secret-file that is read.
	maxSecretFile = 64 << 10
	// passphraseRounds makes each guess of a passphrase cost some 10 ms. It is
	// part of the wire: nodes with other values derive other keys.
	passphraseRounds = 50_000
)

// LoadSecret reads a cluster-secret-file and returns one 32-byte key for each
// line that holds a secret, in order. Empty lines and lines that start with #
// do not count, blanks around a secret do not belong to it. A line of exactly
// 64 hex digits is the key itself; any other line is a passphrase of at least
// 16 bytes, from which the key is derived with PBKDF2. The first key seals what
// is sent, all of them open what is received, which is how a secret is
// rotated: append the new one everywhere, move it to the top everywhere,
// remove the old one everywhere.
//
// An error names the file and the line. A file without a secret is an error:
// it would silently leave the bus open.
func LoadSecret(path string) ([][]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("bus: open cluster secret: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	if err != nil {
		return nil, fmt.Errorf("bus: read cluster secret: %w", err)
	}
	if len(text) > maxSecretFile {
		return nil, fmt.Errorf("bus: cluster secret %s: longer than %d bytes", path, maxSecretFile)
	}
	keys, err := parseSecret(text)
	if err != nil {
		return nil, fmt.Errorf("bus: cluster secret %s: %w", path, err)
	}
	return keys, nil
}

func parseSecret(text []byte) ([][]byte, error) {
	var keys [][]byte
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxSecretFile+1)
	for number := 1; lines.Scan(); number++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, err := parseKey(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		for _, older := range keys {
			if bytes.Equal(older, key) {
				return nil, fmt.Errorf("line %d: the same secret twice", number)
			}
		}
		if keys = append(keys, key); len(keys) > maxKeys {
			return nil, fmt.Errorf("line %d: more than %d secrets", number, maxKeys)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("no secret in it")
	}
	return keys, nil
}

func parseKey(line []byte) ([]byte, error) {
	if len(line) == 2*keyBytes {
		key := make([]byte, keyBytes)
		if _, err := hex.Decode(key, line); err == nil {
			return key, nil
		}
	}
	if len(line) < minPassphrase {
		return nil, fmt.Errorf("a secret of %d bytes is too short, it needs %d", len(line), minPassphrase)
	}
	return pbkdf2.Key(sha256.New, string(line), []byte("slotmesh cluster secret 1"), passphraseRounds, keyBytes)
}

// key holds the roots derived from one secret. Each use has its own, so that
// nothing that one of them signs or seals means anything to another.
type key struct {
	hello   []byte // proves possession in a handshake
	session []byte // root of a connection's two keys
	packet  []byte // root of a sender's packet key
}

// keyset is the secrets in force; index 0 seals. A nil or empty keyset means
// an open bus. It is immutable.
type keyset struct{ keys []*key }

func newKeyset(secrets [][]byte) (*keyset, error) {
	if len(secrets) > maxKeys {
		return nil, fmt.Errorf("bus: %d secrets, at most %d are possible", len(secrets), maxKeys)
	}
	set := &keyset{}
	for _, secret := range secrets {
		if len(secret) < minPassphrase {
			return nil, fmt.Errorf("bus: a key of %d bytes is too short, it needs %d", len(secret), minPassphrase)
		}
		set.keys = append(set.keys, &key{
			hello:   derive(secret, "slotmesh bus hello"),
			session: derive(secret, "slotmesh bus session"),
			packet:  derive(secret, "slotmesh bus packet"),
		})
	}
	return set, nil
}

func (s *keyset) secured() bool { return len(s.keys) > 0 }

// derive cannot fail: the output is short and the hash is approved.
func derive(secret []byte, info string) []byte {
	out, err := hkdf.Key(sha256.New, secret, nil, info, keyBytes)
	if err != nil {
		panic("bus: hkdf: " + err.Error())
	}
	return out
}

// newAEAD returns AES-256-GCM; secret has keyBytes bytes.
func newAEAD(secret []byte) cipher.AEAD {
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic("bus: aes: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("bus: gcm: " + err.Error())
	}
	return aead
}

// packetAEAD is the key with which one run of one sender seals its packets.
// The run is part of it so that the packet counter may start at zero again.
func (k *key) packetAEAD(from slots.NodeID, run uint64) cipher.AEAD {
	return newAEAD(derive(k.packet, fmt.Sprintf("%s %016x", from, run)))
}

func sign(secret []byte, label string, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(label))
	for _, part := range parts {
		mac.Write(part)
	}
	return mac.Sum(nil)
}
