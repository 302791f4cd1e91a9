package compare

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// script is a parsed file of commands.
type script struct {
	cluster bool
	lines   []line
}

// line is one command and how to compare its answers.
type line struct {
	number    int
	text      string
	conn      string
	shape     bool
	prefix    bool
	unordered bool
	raw       string // sent as it is when isRaw
	isRaw     bool
	args      []string
}

func parseScript(path string) (script, error) {
	file, err := os.Open(path)
	if err != nil {
		return script{}, err
	}
	defer file.Close()
	var s script
	scanner := bufio.NewScanner(file)
	for number := 1; scanner.Scan(); number++ {
		text := strings.TrimSpace(scanner.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if text == "mode cluster" {
			s.cluster = true
			continue
		}
		l, err := parseLine(text)
		if err != nil {
			return script{}, fmt.Errorf("%s:%d: %w", path, number, err)
		}
		l.number = number
		s.lines = append(s.lines, l)
	}
	return s, scanner.Err()
}

func parseLine(text string) (line, error) {
	l := line{text: text, conn: "first"}
	rest := text
	for {
		word, after, _ := strings.Cut(rest, " ")
		after = strings.TrimSpace(after)
		switch {
		case strings.HasPrefix(word, "@"):
			l.conn = word[1:]
		case word == "shape":
			l.shape = true
		case word == "prefix":
			l.prefix = true
		case word == "unordered":
			l.unordered = true
		case word == "raw":
			raw, err := strconv.Unquote(after)
			if err != nil {
				return l, fmt.Errorf("raw %s: %w", after, err)
			}
			l.raw, l.isRaw = raw, true
			return l, nil
		default:
			args, err := words(rest)
			l.args = args
			return l, err
		}
		rest = after
	}
}

// words splits text at blanks; a word in double quotes is read as Go does.
func words(text string) ([]string, error) {
	var list []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimLeft(text, " ") {
		if text[0] != '"' {
			word, after, _ := strings.Cut(text, " ")
			list = append(list, word)
			text = after
			continue
		}
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", quoted, err)
		}
		list = append(list, word)
		text = text[len(quoted):]
	}
	return list, nil
}
