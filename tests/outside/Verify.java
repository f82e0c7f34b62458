import java.io.FileInputStream;
import java.net.Socket;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/** A Java client as a judge: Verify ROOT PORT NAME... prints a line for each name, "ok" or why not. */
class Verify {
    public static void main(String[] args) throws Exception {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        try (var file = new FileInputStream(args[0])) {
            trusted.setCertificateEntry("root", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        var managers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        managers.init(trusted);
        for (int i = 2; i < args.length; i++) {
            // A context for each: no session is resumed.
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, managers.getTrustManagers(), null);
            System.out.println(handshake(context, Integer.parseInt(args[1]), args[i]));
        }
    }

    /** The connection goes to loopback whatever the name; the certificate is judged by the name. */
    private static String handshake(SSLContext context, int port, String name) throws Exception {
        Socket plain = new Socket("127.0.0.1", port);
        plain.setSoTimeout(10_000);
        try (var socket = (SSLSocket) context.getSocketFactory().createSocket(plain, name, port, true)) {
            SSLParameters parameters = socket.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            socket.setSSLParameters(parameters);
            socket.startHandshake();
            return "ok";
        } catch (javax.net.ssl.SSLException e) {
            return e.getMessage().replace('\n', ' ');
        }
    }
}
