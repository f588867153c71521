package config
import ("testing";"os";"strings")
func TestZZ(t *testing.T){
 c,err:=Parse(strings.Fields(os.Getenv("A")))
 if err!=nil {t.Log(err);return}
 var b strings.Builder
 Usage(&b,c); t.Logf("%+v\n%s",c.Config,b.String())
}
