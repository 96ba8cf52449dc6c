using System.Diagnostics;

namespace RawDiffusion.Tests;

/// <summary>The package source that tests/fetch-nvrtc.sh derives from a machine's own, on machines made up in a folder.</summary>
public class FetchNvrtcTests : IDisposable
{
    private const string Debian = "ID=debian\nVERSION_CODENAME=bookworm\n";
    private const string Ubuntu = "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n";

    private readonly TemporaryFolder _etc = new();

    public void Dispose() => _etc.Dispose();

    [SkippableFact]
    public void AStanzaKeepsItsMirrorAndItsKey()
    {
        Write("apt/sources.list.d/debian.sources", """
            Types: deb
            # a comment
            URIs: http://mirror.invalid/debian
            Suites: bookworm bookworm-updates
            Components: main
            Signed-By: /usr/share/keyrings/archive.gpg

            Types: deb
            URIs: http://mirror.invalid/security
            Suites: bookworm-security
            Components: main

            """);
        Assert.Equal("""
            Types: deb
            URIs: http://mirror.invalid/debian
            Suites: bookworm
            Components: non-free
            Signed-By: /usr/share/keyrings/archive.gpg
            """, Source(Debian));
    }

    [SkippableFact]
    public void AKeyWrittenIntoTheStanzaIsKeptAndOtherStanzasAreNotTaken()
    {
        Write("apt/sources.list.d/a-vendor.sources", "Types: deb\nURIs: http://vendor.invalid/\nSuites: stable\nComponents: main\n");
        Write("apt/sources.list.d/off.sources", "Enabled: no\nTypes: deb\nURIs: http://off.invalid/\nSuites: noble\nComponents: main\n");
        Write("apt/sources.list.d/ubuntu.sources", """
            Types: deb deb-src
            URIs: http://mirror.invalid/ubuntu
            Suites: noble
              noble-updates
            Components: main restricted
              universe
            Signed-By:
              -----BEGIN PGP PUBLIC KEY BLOCK-----
              .
              abc
              -----END PGP PUBLIC KEY BLOCK-----

            """);
        Assert.Equal("""
            Types: deb
            URIs: http://mirror.invalid/ubuntu
            Suites: noble
            Components: multiverse
            Signed-By:
              -----BEGIN PGP PUBLIC KEY BLOCK-----
              .
              abc
              -----END PGP PUBLIC KEY BLOCK-----
            """, Source(Ubuntu));
    }

    [SkippableFact]
    public void ALineKeepsItsOptions()
    {
        Write("apt/sources.list", """
            # deb http://old.invalid/debian bookworm main
            deb-src http://mirror.invalid/debian bookworm main
            deb http://mirror.invalid/security bookworm-security main
            deb [arch=amd64 signed-by=/k.gpg] http://mirror.invalid/debian bookworm main contrib # ours

            """);
        Assert.Equal("deb [arch=amd64 signed-by=/k.gpg] http://mirror.invalid/debian bookworm non-free", Source(Debian));
    }

    [SkippableFact]
    public void ALineWithoutOptionsDoesToo()
    {
        Write("apt/sources.list", "deb http://mirror.invalid/ubuntu/ noble main universe\n");
        Assert.Equal("deb http://mirror.invalid/ubuntu/ noble multiverse", Source(Ubuntu));
    }

    [SkippableFact]
    public void WhereItCannotWorkOneLineSaysWhy()
    {
        var (_, code, error) = Run("ID=fedora\nVERSION_CODENAME=\n");
        Assert.Equal((1, $"fetch-nvrtc: {_etc.Path}/os-release names no release of the distribution"), (code, error));
        (_, code, error) = Run("ID=arch\nVERSION_CODENAME=rolling\n");
        Assert.Equal((1, "fetch-nvrtc: 'arch' is neither Debian nor Ubuntu"), (code, error));
        (_, code, error) = Run(Debian);
        Assert.Equal((1, $"fetch-nvrtc: no entry for bookworm main among the machine's package sources ({_etc.Path}/apt)"), (code, error));
    }

    private string Source(string release)
    {
        var (output, code, error) = Run(release);
        Assert.True(code == 0, error);
        return output;
    }

    private (string Output, int Code, string Error) Run(string release)
    {
        Skip.IfNot(File.Exists("/usr/bin/apt-get"), "there is no apt here: the script is for Debian and Ubuntu");
        Write("os-release", release);
        var start = new ProcessStartInfo("bash", [Path.Combine(Repository.Root, "tests", "fetch-nvrtc.sh"), "--show-source"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["RAWDIFFUSION_APT_ETC"] = _etc.Path;
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd().Trim();
        process.WaitForExit();
        return (output, process.ExitCode, error.Result.Trim());
    }

    private void Write(string name, string text)
    {
        string path = Path.Combine(_etc.Path, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }
}
