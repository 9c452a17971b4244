package equiv

// Certificate is the evidence for one function.
type Certificate struct {
	Function string   `json:"function"`
	Guards   []*Guard `json:"guards,omitempty"`
}

func (w *walk) certificate(name string) (*Certificate, error) {
	c := &Certificate{Function: name}
	for _, g := range w.used.guards {
		c.Guards = append(c.Guards, g)
	}
	return c, nil
}

// Words says the certificate in a few lines.
func (c *Certificate) Words() []string {
	return nil
}
