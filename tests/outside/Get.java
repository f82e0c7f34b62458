import java.net.URI;
import javax.net.ssl.HttpsURLConnection;

/** A Java client that trusts what this computer's Java trusts: Get URL prints the status, or why not. */
class Get {
    public static void main(String[] args) throws Exception {
        try {
            System.out.println(((HttpsURLConnection) URI.create(args[0]).toURL().openConnection()).getResponseCode());
        } catch (javax.net.ssl.SSLException e) {
            System.out.println(e.getMessage().replace('\n', ' '));
        }
    }
}
