package topics

// A Message is what is published at QoS 1.
type Message struct {
	Topic   string
	Payload []byte // empty and Retain: the broker forgets what it has retained
	Retain  bool
}

// told is for what has happened.
func told(topic string, payload []byte) Message { return Message{Topic: topic, Payload: payload} }

// kept is for what is so until another message says otherwise.
func kept(topic string, payload []byte) Message {
	return Message{Topic: topic, Payload: payload, Retain: true}
}

// cleared has the broker forget what it retains on each of the topics.
func cleared(topics ...string) (list []Message) {
	for _, topic := range topics {
		list = append(list, Message{Topic: topic, Retain: true})
	}
	return list
}
