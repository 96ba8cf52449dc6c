namespace RawDiffusion.Verification.Rows;

internal static class ShapingRows
{
    public static IEnumerable<OperationCase> Cases()
    {
        yield break;
    }
}
