package broker

import (
	"errors"
	"fmt"
)

func explainMQTT(err error, e endpoint, s Settings) string {
	said, ok := errors.AsType[saidError](err)
	switch {
	case ok:
		return fmt.Sprintf("%s: %v%s", where(e), err, advice[said.code])
	case errors.Is(err, errOldMQTT):
		return fmt.Sprintf("%s speaks only MQTT 3, and MQTT 5 is needed; mosquitto has it since 1.6", where(e))
	case errors.Is(err, errNotMQTT):
		return fmt.Sprintf("%s: %v; correct host and port in mqtt_broker", where(e), err)
	case errors.Is(err, errHungUp) && e.tls: // what it said of our certificate may be lost
		return fmt.Sprintf("%s: %v%s", where(e), err, certificateAdvice(s))
	case errors.Is(err, errClosed): // mosquitto 2.0 gives no reason, not even if another client comes
		return fmt.Sprintf("%s: %v; it ends, or another client has connected with the same client identifier: "+
			"give each gateway a name of its own in mqtt_gateway", where(e), err)
	case errors.Is(err, errHungUp):
		return fmt.Sprintf("%s: %v; perhaps it speaks TLS at this port (mqtts://), or only MQTT 3", where(e), err)
	}
	return ""
}

// advice is what to do about reason codes.
var advice = map[byte]string{
	0x84: "; MQTT 5 is needed",
	0x85: "; allow this client identifier in the broker, or set mqtt_gateway",
	0x86: "; " + setUser,
	0x87: "; " + setUser + ", or allow it in the broker's access list",
	0x8a: "; the broker's administrator has banned this client",
	0x8e: "; another client has connected with the same client identifier: give each gateway a name of its own in mqtt_gateway",
	0x90: "; allow the topic of the will in the broker's access list",
	0x9a: "; the broker must retain messages",
	0x9c: "; name the other server in mqtt_broker",
	0x9d: "; name the new server in mqtt_broker",
}

const setUser = "put the right user and password into the credentials mqtt-user and mqtt-password (LoadCredential=)"
